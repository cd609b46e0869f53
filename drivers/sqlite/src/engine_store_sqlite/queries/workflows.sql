-- name: list_workflows :many
-- Newest first; a page starts behind (:before_created_at, :before_id).
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE true
  AND workflow_id = :workflow_id --? workflow_id
  AND status {in_statuses} --? statuses
  AND workflow_exec_id {in_workflow_exec_ids} --? workflow_exec_ids
  AND created_at >= :created_from --? created_from
  AND created_at < :created_before --? created_before
  AND (created_at, workflow_exec_id) < (:before_created_at, :before_id) --? before_id
ORDER BY created_at DESC, workflow_exec_id DESC
LIMIT :limit

-- name: latest_workflow :one
-- The newest execution, of those with a fitting task where one is asked for. The unary plus keeps
-- SQLite from looking through every task of an agent or tool for each execution.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_id = :workflow_id
  AND EXISTS ( --? by_task
    SELECT 1 --? by_task
    FROM {schema}.tasks --? by_task
    WHERE tasks.workflow_exec_id = workflows.workflow_exec_id --? by_task
      AND tasks.task_id = :task_id --? task_id
      AND +tasks.agent_id = :agent_id --? agent_id
      AND +tasks.tool_id = :tool_id --? tool_id
  ) --? by_task
ORDER BY created_at DESC, workflow_exec_id DESC
LIMIT 1
