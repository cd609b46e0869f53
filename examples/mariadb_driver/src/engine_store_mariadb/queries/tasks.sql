-- fragment: return_task
;
SELECT {task_columns}
FROM {schema}.tasks
WHERE task_exec_id = :task_exec_id

-- fragment: task_values
:workflow_exec_id, :task_exec_id, :task_id, :workflow_id, :component, :execution_type, :status,
:parent_state_id, :agent_id, :action_id, :tool_id, :queue, :priority, :due_at, :attempt, :input,
:output, :error, :usage

-- fragment: in_its_workflow
-- A row if the workflow is there, and the parent in it.
FROM {schema}.workflows AS whole
WHERE whole.workflow_exec_id = :workflow_exec_id
  AND NOT whole.is_deleted
  AND ( --? ended_statuses
    whole.status {not_in_ended_statuses} --? ended_statuses
    OR EXISTS (SELECT 1 FROM {schema}.tasks AS own WHERE own.task_exec_id = :task_exec_id) --? ended_statuses
  ) --? ended_statuses
  AND (
    :parent_state_id IS NULL
    OR EXISTS (
      SELECT 1
      FROM {schema}.tasks AS parent
      WHERE parent.task_exec_id = :parent_state_id
        AND parent.workflow_exec_id = :workflow_exec_id
    )
  )

-- name: create_task! :one
-- A new one or a restored one. No row: the id is taken, or the workflow or the parent is missing,
-- or the workflow has ended.
INSERT INTO {schema}.tasks ({task_columns})
SELECT {task_values}, :version, :created_at, :updated_at
{in_its_workflow}
  AND NOT EXISTS (SELECT 1 FROM {schema}.tasks WHERE task_exec_id = :task_exec_id)
RETURNING {task_columns}

-- name: upsert_task! :one
-- No row: an immutable field differs from what is stored, or a reference of a new one is missing.
INSERT INTO {schema}.tasks ({task_columns})
SELECT {task_values}, 1, :now, :now
{in_its_workflow}
  AND (@fits := true)
ON DUPLICATE KEY UPDATE
  version = tasks.version + (
    @fits := tasks.workflow_exec_id = VALUES(workflow_exec_id)
    AND tasks.parent_state_id <=> VALUES(parent_state_id)
    AND (:created_at IS NULL OR tasks.created_at = :created_at)
  ),
  task_id = IF(@fits, VALUES(task_id), tasks.task_id),
  workflow_id = IF(@fits, VALUES(workflow_id), tasks.workflow_id),
  component = IF(@fits, VALUES(component), tasks.component),
  execution_type = IF(@fits, VALUES(execution_type), tasks.execution_type),
  status = IF(@fits, VALUES(status), tasks.status),
  agent_id = IF(@fits, VALUES(agent_id), tasks.agent_id),
  action_id = IF(@fits, VALUES(action_id), tasks.action_id),
  tool_id = IF(@fits, VALUES(tool_id), tasks.tool_id),
  queue = IF(@fits, VALUES(queue), tasks.queue),
  priority = IF(@fits, VALUES(priority), tasks.priority),
  due_at = IF(@fits, VALUES(due_at), tasks.due_at),
  input = IF(@fits, VALUES(input), tasks.input),
  output = IF(@fits, VALUES(output), tasks.output),
  error = IF(@fits, VALUES(error), tasks.error),
  "usage" = IF(@fits, VALUES("usage"), tasks."usage"),
  updated_at = IF(@fits, greatest(tasks.updated_at, VALUES(updated_at)), tasks.updated_at)
{return_task}
  AND @fits

-- name: task_tree :many
-- A task and its descendants down to :max_depth levels below it. The recursion carries keys alone;
-- the session lets it go on for more than 1,000 levels.
WITH RECURSIVE tree (task_exec_id, depth) AS (
  SELECT task_exec_id, 0
  FROM {schema}.tasks
  WHERE task_exec_id = :root
    AND {is_there}
    AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  UNION ALL
  SELECT child.task_exec_id, tree.depth + 1
  FROM tree
  JOIN {schema}.tasks AS child ON child.parent_state_id = tree.task_exec_id
  WHERE tree.depth < :max_depth
)
SELECT {columns_of_tasks}
FROM tree
JOIN {schema}.tasks ON tasks.task_exec_id = tree.task_exec_id
ORDER BY tree.depth, tasks.created_at, tasks.task_exec_id
