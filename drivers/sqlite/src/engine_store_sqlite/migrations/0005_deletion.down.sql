DELETE FROM workflows WHERE is_deleted;

DROP INDEX workflows_deleted;
ALTER TABLE workflows DROP COLUMN is_deleted;

DROP INDEX tasks_by_workflow;

-- The latest execution of each task of a workflow, and all of them.
CREATE INDEX tasks_by_workflow ON tasks (workflow_exec_id, task_id, created_at, task_exec_id);
