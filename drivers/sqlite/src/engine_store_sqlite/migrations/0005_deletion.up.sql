-- A deleted workflow is hidden at once, with its tasks, and removed in batches: a transaction that
-- deletes 100,000 rows would keep all other writers waiting.
ALTER TABLE workflows ADD COLUMN is_deleted INTEGER NOT NULL DEFAULT 0
CHECK (is_deleted IN (0, 1));

CREATE INDEX workflows_deleted ON workflows (workflow_exec_id) WHERE is_deleted;

-- Pages of a workflow's tasks come in their order, instead of being sorted each time.
DROP INDEX tasks_by_workflow;

CREATE INDEX tasks_by_workflow ON tasks (workflow_exec_id, created_at, task_exec_id, task_id);
