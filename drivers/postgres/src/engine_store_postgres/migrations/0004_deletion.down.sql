DELETE FROM {schema}.workflows WHERE is_deleted;

DROP INDEX {schema}.workflows_deleted;
ALTER TABLE {schema}.workflows DROP COLUMN is_deleted;

ALTER TABLE {schema}.tasks ADD FOREIGN KEY (workflow_exec_id, parent_state_id)
REFERENCES {schema}.tasks (workflow_exec_id, task_exec_id);

DROP INDEX {schema}.tasks_by_workflow;

-- The latest execution of each task of a workflow.
CREATE INDEX tasks_by_workflow ON {schema}.tasks (workflow_exec_id, task_id, created_at);
