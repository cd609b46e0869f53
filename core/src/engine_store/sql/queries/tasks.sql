-- fragment: task_columns
workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
parent_state_id, agent_id, action_id, tool_id, input, output, error, usage, version, created_at,
updated_at

-- name: get_task :one
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id

-- name: get_task_usage :one
SELECT usage
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id

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
