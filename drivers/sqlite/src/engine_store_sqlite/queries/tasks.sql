-- fragment: task_values
:workflow_exec_id, :task_exec_id, :task_id, :workflow_id, :component, :execution_type, :status,
:parent_state_id, :agent_id, :action_id, :tool_id, :queue, :priority, :due_at, :attempt, :input,
:output, :error, :usage

-- fragment: references_exist
EXISTS (
  SELECT 1
  FROM {schema}.workflows
  WHERE workflow_exec_id = :workflow_exec_id
    AND NOT is_deleted
    AND ( --? ended_statuses
      status {not_in_ended_statuses} --? ended_statuses
      OR EXISTS (SELECT 1 FROM {schema}.tasks AS own WHERE own.task_exec_id = :task_exec_id) --? ended_statuses
    ) --? ended_statuses
)
AND (
  :parent_state_id IS NULL
  OR EXISTS (
    SELECT 1
    FROM {schema}.tasks AS parent
    WHERE parent.workflow_exec_id = :workflow_exec_id
      AND parent.task_exec_id = :parent_state_id
  )
)

-- name: list_tasks :many
-- A page starts behind (:after_created_at, :after_id); without a limit, all. SQLite is told what
-- it has no statistics for: a workflow has few tasks beside an agent, a parent fewer still.
SELECT {task_columns}
FROM {schema}.tasks
WHERE {is_there}
  AND likelihood(workflow_exec_id = :workflow_exec_id, 0.000001) --? workflow_exec_id
  AND status {in_statuses} --? statuses
  AND task_exec_id {in_task_exec_ids} --? task_exec_ids
  AND task_id = :task_id --? task_id
  AND likelihood(parent_state_id = :parent_state_id, 0.0000001) --? parent_state_id
  AND agent_id = :agent_id --? agent_id
  AND action_id = :action_id --? action_id
  AND tool_id = :tool_id --? tool_id
  AND execution_type = :execution_type --? execution_type
  AND (created_at, task_exec_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, task_exec_id
LIMIT :limit --? limit

-- name: create_task! :one
-- A new one or a restored one. No row: the id is taken, or the workflow or the parent is missing,
-- or the workflow has ended.
INSERT INTO {schema}.tasks ({task_columns})
SELECT {task_values}, :version, :created_at, :updated_at
WHERE {references_exist}
ON CONFLICT DO NOTHING
RETURNING {task_columns}

-- name: upsert_task! :one
-- No row: an immutable field differs from what is stored, or a reference of a new one is missing.
INSERT INTO {schema}.tasks ({task_columns})
SELECT {task_values}, 1, :now, :now
WHERE {references_exist}
ON CONFLICT (task_exec_id) DO UPDATE
SET task_id = excluded.task_id,
    workflow_id = excluded.workflow_id,
    component = excluded.component,
    execution_type = excluded.execution_type,
    status = excluded.status,
    agent_id = excluded.agent_id,
    action_id = excluded.action_id,
    tool_id = excluded.tool_id,
    queue = excluded.queue,
    priority = excluded.priority,
    due_at = excluded.due_at,
    input = excluded.input,
    output = excluded.output,
    error = excluded.error,
    usage = excluded.usage,
    version = tasks.version + 1,
    updated_at = max(tasks.updated_at, excluded.updated_at)
WHERE tasks.workflow_exec_id = excluded.workflow_exec_id
  AND tasks.parent_state_id IS excluded.parent_state_id
  AND tasks.created_at = :created_at --? created_at
RETURNING {task_columns}

-- fragment: is_latest
-- Of the row with the largest value SQLite takes the other columns, too; times have a fixed width.
rowid IN (
  SELECT row_id
  FROM (
    SELECT rowid AS row_id, max(created_at || task_exec_id)
    FROM {schema}.tasks
    WHERE workflow_exec_id = :workflow_exec_id
    GROUP BY task_id
  )
)

-- name: latest_tasks_and_roots :many
-- The latest execution of each task_id of a workflow, and the latest of each root task, which may
-- be another one; each row says which of the two it is.
SELECT *
FROM (
  SELECT {task_columns},
    {is_latest} AS is_latest,
    rowid IN (
      SELECT row_id
      FROM (
        SELECT rowid AS row_id, max(created_at || task_exec_id)
        FROM {schema}.tasks
        WHERE workflow_exec_id = :workflow_exec_id
          AND parent_state_id IS NULL
        GROUP BY task_id
      )
    ) AS is_latest_root
  FROM {schema}.tasks
  WHERE workflow_exec_id = :workflow_exec_id
) AS found
WHERE is_latest OR is_latest_root
ORDER BY created_at, task_exec_id

-- name: task_tree :many
-- A task and its descendants down to :max_depth levels below it.
WITH RECURSIVE tree (row_id, task_exec_id, depth) AS (
  SELECT rowid, task_exec_id, 0
  FROM {schema}.tasks
  WHERE task_exec_id = :root
    AND {is_there}
    AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  UNION ALL
  SELECT child.rowid, child.task_exec_id, tree.depth + 1
  FROM tree
  JOIN {schema}.tasks AS child ON child.parent_state_id = tree.task_exec_id
  WHERE tree.depth < :max_depth
)
SELECT {columns_of_tasks}
FROM tree
JOIN {schema}.tasks ON tasks.rowid = tree.row_id
ORDER BY tree.depth, tasks.created_at, tasks.task_exec_id
