-- A deleted workflow is hidden at once, with its tasks, and removed in batches: one statement for
-- 100,000 rows would run into its time limit, and delete nothing.
ALTER TABLE {schema}.workflows ADD COLUMN is_deleted boolean NOT NULL DEFAULT false;

CREATE INDEX workflows_deleted ON {schema}.workflows (workflow_exec_id) WHERE is_deleted;

-- A batch has tasks in any order, so that a parent may go before its children, which nobody sees.
-- That a new task's parent is there is for the statement that stores it, which holds the workflow.
ALTER TABLE {schema}.tasks DROP CONSTRAINT tasks_workflow_exec_id_parent_state_id_fkey;

-- Pages of a workflow's tasks come in their order, instead of being sorted each time.
DROP INDEX {schema}.tasks_by_workflow;

CREATE INDEX tasks_by_workflow ON {schema}.tasks (workflow_exec_id, created_at, task_exec_id);
