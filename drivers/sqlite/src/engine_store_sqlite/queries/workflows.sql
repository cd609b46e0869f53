-- name: latest_workflow :one
-- The newest execution, of those with a fitting task where one is asked for. The unary plus keeps
-- SQLite from looking through every task of an agent or tool for each execution.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_id = :workflow_id
  AND NOT is_deleted
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

-- name: remove_tasks! :many
-- What was inserted last goes first: a parent has been there before its children. Of a few
-- workflows at a time, as the rows of each are looked through.
DELETE FROM {schema}.tasks
WHERE rowid IN (
  SELECT rowid
  FROM {schema}.tasks
  WHERE workflow_exec_id IN (
{few_deleted}
  )
  ORDER BY rowid DESC
  LIMIT :limit
)
RETURNING task_exec_id
