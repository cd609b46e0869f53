DROP TRIGGER history_of_tasks ON {schema}.tasks;
DROP TRIGGER history_of_workflows ON {schema}.workflows;
DROP FUNCTION {schema}.engine_store_status_of_task();
DROP FUNCTION {schema}.engine_store_status_of_workflow();
DROP FUNCTION {schema}.engine_store_add_status(text, text, json, timestamptz);
