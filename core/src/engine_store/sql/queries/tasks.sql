-- fragment: task_columns
workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
parent_state_id, agent_id, action_id, tool_id, input, output, error, "usage", version, created_at,
updated_at

-- fragment: return_task
RETURNING {task_columns}

-- fragment: is_latest
NOT EXISTS (
  SELECT 1
  FROM {schema}.tasks AS later
  WHERE later.workflow_exec_id = tasks.workflow_exec_id
    AND later.task_id = tasks.task_id
    AND (later.created_at, later.task_exec_id) > (tasks.created_at, tasks.task_exec_id)
)

-- name: get_task :one
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id

-- name: lock_task :one
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
{for_update}

-- name: list_tasks :many
-- A page starts after (:after_created_at, :after_id); without a limit, all.
SELECT {task_columns}
FROM {schema}.tasks
WHERE true
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND status {in_statuses} --? statuses
  AND task_exec_id {in_task_exec_ids} --? task_exec_ids
  AND task_id = :task_id --? task_id
  AND parent_state_id = :parent_state_id --? parent_state_id
  AND agent_id = :agent_id --? agent_id
  AND action_id = :action_id --? action_id
  AND tool_id = :tool_id --? tool_id
  AND execution_type = :execution_type --? execution_type
  AND created_at >= :after_created_at --? after_id
  AND (created_at, task_exec_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, task_exec_id
LIMIT :limit --? limit

-- name: update_task! :one
-- Compare-and-set. No row: missing, another version, or an immutable field differs.
UPDATE {schema}.tasks
SET task_id = :task_id,
    workflow_id = :workflow_id,
    component = :component,
    execution_type = :execution_type,
    status = :status,
    agent_id = :agent_id,
    action_id = :action_id,
    tool_id = :tool_id,
    input = :input,
    output = :output,
    error = :error,
    "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE task_exec_id = :task_exec_id
  AND workflow_exec_id = :workflow_exec_id
  AND version = :version
  AND parent_state_id {is_same_as} :parent_state_id
  AND created_at = :created_at --? created_at
{return_task}

-- name: get_task_usage :one
SELECT "usage"
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id

-- name: lock_task_usage :one
SELECT "usage"
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
{for_no_key_update}

-- name: set_task_usage! :one
UPDATE {schema}.tasks
SET "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE task_exec_id = :task_exec_id
{return_task}

-- name: latest_child :one
SELECT {task_columns}
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND task_id = :task_id
ORDER BY created_at DESC, task_exec_id DESC
LIMIT 1

-- name: children_outputs :many
-- In creation order: of several executions of a task the last row is the latest.
SELECT task_id, output
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND output IS NOT NULL
ORDER BY created_at, task_exec_id

-- name: count_children :many
SELECT status, count(*)
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
GROUP BY status

-- name: latest_tasks :many
-- The latest execution of each task_id of a workflow, in creation order.
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND {is_latest}
ORDER BY created_at, task_exec_id

-- name: get_workflow_with_tasks :many
-- The workflow, with null where only a task has a value, and the latest execution of each task_id,
-- in any order. One statement, so that all is of one snapshot.
SELECT
  workflow_exec_id, NULL, NULL, workflow_id, NULL, NULL, status, NULL, NULL, NULL, NULL, input,
  output, error, "usage", version, created_at, updated_at
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
UNION ALL
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND {is_latest}

-- name: latest_tasks_and_roots :many
-- The latest execution of each task_id of a workflow, and the latest of each root task, which may
-- be another one; each row says which of the two it is.
SELECT *
FROM (
  SELECT {task_columns},
    row_number() OVER (
      PARTITION BY task_id
      ORDER BY created_at DESC, task_exec_id DESC
    ) = 1 AS is_latest,
    parent_state_id IS NULL AND row_number() OVER (
      PARTITION BY task_id, parent_state_id IS NULL
      ORDER BY created_at DESC, task_exec_id DESC
    ) = 1 AS is_latest_root
  FROM {schema}.tasks
  WHERE workflow_exec_id = :workflow_exec_id
) AS found
WHERE is_latest OR is_latest_root
ORDER BY created_at, task_exec_id
