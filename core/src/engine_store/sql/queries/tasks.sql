-- fragment: task_columns
workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
parent_state_id, agent_id, action_id, tool_id, queue, priority, due_at, attempt, input, output,
error, "usage", version, created_at, updated_at

-- fragment: columns_of_tasks
tasks.workflow_exec_id, tasks.task_exec_id, tasks.task_id, tasks.workflow_id, tasks.component,
tasks.execution_type, tasks.status, tasks.parent_state_id, tasks.agent_id, tasks.action_id,
tasks.tool_id, tasks.queue, tasks.priority, tasks.due_at, tasks.attempt, tasks.input, tasks.output,
tasks.error, tasks."usage", tasks.version, tasks.created_at, tasks.updated_at

-- fragment: return_task
RETURNING {task_columns}

-- fragment: matches_filter
-- The conditions of a filter of tasks.
{is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND status {in_statuses} --? statuses
  AND task_exec_id {in_task_exec_ids} --? task_exec_ids
  AND task_id = :task_id --? task_id
  AND parent_state_id = :parent_state_id --? parent_state_id
  AND agent_id = :agent_id --? agent_id
  AND action_id = :action_id --? action_id
  AND tool_id = :tool_id --? tool_id
  AND execution_type = :execution_type --? execution_type

-- fragment: is_latest
NOT EXISTS (
  SELECT 1
  FROM {schema}.tasks AS later
  WHERE later.workflow_exec_id = tasks.workflow_exec_id
    AND later.task_id = tasks.task_id
    AND (later.created_at, later.task_exec_id) > (tasks.created_at, tasks.task_exec_id)
)

-- name: get_task :one
-- Reads a task. No row: it is missing.
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id

-- name: lock_task :one
-- Reads what is committed, and holds the row until the transaction ends. No row: it is missing.
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
{for_update}

-- name: get_task_usage :one
-- Reads the usage alone. No row: it is missing.
SELECT "usage"
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND {is_there}

-- name: list_tasks :many
-- Lists tasks by created_at, task_exec_id, after (:after_created_at, :after_id). The limit is one
-- more than the page; without it, all.
SELECT {task_columns}
FROM {schema}.tasks
WHERE {matches_filter}
  AND created_at >= :after_created_at --? after_id
  AND (created_at, task_exec_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, task_exec_id
LIMIT :limit --? limit

-- name: create_task! :one
-- Stores a new task, or a restored one. No row: the id is taken, or the workflow, or the parent in
-- it, is missing, or the workflow has ended, which `ended_statuses` tell if they count.
-- takes: workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
-- parent_state_id, agent_id, action_id, tool_id, queue, priority, due_at, attempt, input, output,
-- error, usage, version, created_at, updated_at, ended_statuses?
-- gives: {task_columns}

-- name: update_task! :one
-- Compare-and-set: version + 1; updated_at never goes back. No row: it is missing, has another
-- version, or an immutable field differs.
UPDATE {schema}.{tasks_by_id}
SET task_id = :task_id,
    workflow_id = :workflow_id,
    component = :component,
    execution_type = :execution_type,
    status = :status,
    agent_id = :agent_id,
    action_id = :action_id,
    tool_id = :tool_id,
    queue = :queue,
    priority = :priority,
    due_at = :due_at,
    input = :input,
    output = :output,
    error = :error,
    "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE task_exec_id = :task_exec_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id
  AND version = :version
  AND parent_state_id {is_same_as} :parent_state_id
  AND created_at = :created_at --? created_at
{return_task}

-- name: upsert_task! :one
-- Stores a task with version 1, or updates the one that is there. No row: an immutable field
-- differs from what is stored, or a reference of a new one is missing, or its workflow has ended.
-- takes: workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
-- parent_state_id, agent_id, action_id, tool_id, queue, priority, due_at, attempt, input, output,
-- error, usage, created_at?, now, ended_statuses?
-- gives: {task_columns}

-- name: lock_task_usage :one
-- Reads the usage that is committed, and holds the row. No row: it is missing.
SELECT "usage"
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id
  AND {is_there}
{for_no_key_update}

-- name: set_task_usage! :one
-- Stores the usage of a row that is held; version + 1.
UPDATE {schema}.tasks
SET "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE task_exec_id = :task_exec_id
{return_task}

-- name: latest_child :one
-- Finds the latest execution of a task_id below a parent. No row: there is none.
SELECT {task_columns}
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND task_id = :task_id
ORDER BY created_at DESC, task_exec_id DESC
LIMIT 1

-- name: children_outputs :many
-- Reads the outputs of the children that have one, in creation order: of several executions of a
-- task the last row is the latest.
SELECT task_exec_id, task_id, output
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND output IS NOT NULL
ORDER BY created_at, task_exec_id

-- name: count_children :many
-- Counts the children of each status.
-- gives: status, tasks
SELECT status, count(*)
FROM {schema}.tasks
WHERE parent_state_id = :parent_state_id
  AND {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
GROUP BY status

-- name: latest_tasks :many
-- Lists the latest execution of each task_id of a workflow, in creation order.
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND {is_there}
  AND {is_latest}
ORDER BY created_at, task_exec_id

-- name: latest_tasks_and_roots :many
-- Lists the latest execution of each task_id of a workflow, and the latest one that has no parent,
-- which may be another one; in creation order. Each row says which of the two it is.
-- gives: {task_columns}, is_latest, is_latest_root
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

-- name: task_tree :many
-- Lists a task and its descendants down to `max_depth` levels: by depth, created_at, task_exec_id.
-- Trees have thousands of tasks and levels. No row: the root is missing.
-- takes: root, max_depth, workflow_exec_id?
-- gives: {task_columns}
