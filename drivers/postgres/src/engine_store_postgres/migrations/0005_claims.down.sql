DROP TRIGGER leases_keep_their_queue ON {schema}.tasks;
DROP TRIGGER leases_of_restored_tasks ON {schema}.tasks;
DROP TRIGGER leases_end_with_their_task ON {schema}.tasks;
DROP TRIGGER leases_end_with_their_run ON {schema}.tasks;
DROP FUNCTION {schema}.engine_store_move_lease();
DROP FUNCTION {schema}.engine_store_add_lease();
DROP FUNCTION {schema}.engine_store_end_lease();
DROP TABLE {schema}.leases;
DROP INDEX {schema}.tasks_to_claim;
ALTER TABLE {schema}.tasks
DROP COLUMN attempt,
DROP COLUMN due_at,
DROP COLUMN priority,
DROP COLUMN queue;
