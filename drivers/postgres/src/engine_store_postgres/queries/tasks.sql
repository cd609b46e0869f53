-- fragment: task_values
:workflow_exec_id::text, :task_exec_id::text, :task_id::text, :workflow_id::text, :component::text,
:execution_type::text, :status::text, :parent_state_id::text, :agent_id::text, :action_id::text,
:tool_id::text, :queue::text, :priority::smallint, :due_at::timestamptz, :attempt::integer, :input::json,
:output::json, :error::json, :usage::json

-- fragment: in_its_workflow
-- A row if the workflow is there, and the parent in it. The workflow is held: it cannot be deleted
-- between this look and the foreign keys', nor can a parent, which goes with it alone.
FROM {schema}.workflows AS whole
WHERE whole.workflow_exec_id = :workflow_exec_id
  AND NOT whole.is_deleted
  AND ( --? ended_statuses
    whole.status {not_in_ended_statuses} --? ended_statuses
    OR EXISTS ( --? ended_statuses
      SELECT 1 --? ended_statuses
      FROM {schema}.tasks AS own --? ended_statuses
      WHERE own.task_exec_id = :task_exec_id --? ended_statuses
    ) --? ended_statuses
  ) --? ended_statuses
  AND (
    :parent_state_id::text IS NULL
    OR EXISTS (
      SELECT 1
      FROM {schema}.tasks AS parent
      WHERE parent.workflow_exec_id = :workflow_exec_id
        AND parent.task_exec_id = :parent_state_id
    )
  )

-- name: list_tasks :many
-- A page starts behind (:after_created_at, :after_id); without a limit, all. Each status gives a page
-- of its own, in the order of its index: `= ANY` has no order, so that all rows would be walked.
SELECT found.* --? statuses
FROM (SELECT DISTINCT unnest(:statuses::text[])) AS wanted (status) --? statuses
CROSS JOIN LATERAL ( --? statuses
SELECT {task_columns}
FROM {schema}.tasks
WHERE {is_there}
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND tasks.status = wanted.status --? statuses
  AND task_exec_id {in_task_exec_ids} --? task_exec_ids
  AND task_id = :task_id --? task_id
  AND parent_state_id = :parent_state_id --? parent_state_id
  AND agent_id = :agent_id --? agent_id
  AND action_id = :action_id --? action_id
  AND tool_id = :tool_id --? tool_id
  AND execution_type = :execution_type --? execution_type
  AND (created_at, task_exec_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, task_exec_id
LIMIT :limit --? limit
) AS found --? statuses
ORDER BY created_at, task_exec_id --? statuses
LIMIT :limit --? statuses

-- name: create_task! :one
-- A new one or a restored one. No row: the id is taken, or the workflow or the parent is missing,
-- or the workflow has ended.
INSERT INTO {schema}.tasks ({task_columns})
SELECT {task_values}, :version::bigint, :created_at::timestamptz, :updated_at::timestamptz
{in_its_workflow}
FOR KEY SHARE OF whole
ON CONFLICT DO NOTHING
RETURNING {task_columns}

-- name: upsert_task! :one
-- No row: an immutable field differs from what is stored, or a reference of a new one is missing.
INSERT INTO {schema}.tasks AS stored ({task_columns})
SELECT {task_values}, 1, :now::timestamptz, :now::timestamptz
{in_its_workflow}
  AND NOT EXISTS (
    SELECT 1
    FROM {schema}.tasks AS other
    WHERE other.task_exec_id = :task_exec_id
      AND other.workflow_exec_id <> :workflow_exec_id
  )
FOR KEY SHARE OF whole
ON CONFLICT (workflow_exec_id, task_exec_id) DO UPDATE
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
    version = stored.version + 1,
    updated_at = greatest(stored.updated_at, excluded.updated_at)
WHERE stored.parent_state_id IS NOT DISTINCT FROM excluded.parent_state_id
  AND stored.created_at = :created_at --? created_at
RETURNING {task_columns}

-- fragment: latest_of_each
-- Ids are sorted, not rows.
SELECT DISTINCT ON (task_id) task_exec_id
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
ORDER BY task_id, created_at DESC, task_exec_id DESC

-- name: latest_tasks :many
-- The latest execution of each task_id of a workflow, in creation order.
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND {is_there}
  AND task_exec_id IN ({latest_of_each})
ORDER BY created_at, task_exec_id

-- name: get_workflow_with_tasks :many
-- The workflow, with null where only a task has a value, and the latest execution of each task_id,
-- in any order. One statement, so that all is of one snapshot.
SELECT
  workflow_exec_id, NULL AS task_exec_id, NULL AS task_id, workflow_id, NULL AS component,
  NULL AS execution_type, status, NULL AS parent_state_id, NULL AS agent_id, NULL AS action_id,
  NULL AS tool_id, NULL AS queue, NULL AS priority, NULL AS due_at, NULL AS attempt, input,
  output, error, usage, version, created_at, updated_at
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
UNION ALL
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND task_exec_id IN ({latest_of_each})

-- name: task_tree :many
-- A task and its descendants down to :max_depth levels below it. The recursion carries keys alone.
WITH RECURSIVE tree (workflow_exec_id, task_exec_id, depth) AS (
  SELECT workflow_exec_id, task_exec_id, 0::bigint
  FROM {schema}.tasks
  WHERE task_exec_id = :root
    AND {is_there}
    AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  UNION ALL
  SELECT child.workflow_exec_id, child.task_exec_id, tree.depth + 1
  FROM tree
  JOIN {schema}.tasks AS child
    ON child.workflow_exec_id = tree.workflow_exec_id
    AND child.parent_state_id = tree.task_exec_id
  WHERE tree.depth < :max_depth
)
SELECT {columns_of_tasks}
FROM tree
JOIN {schema}.tasks
  ON tasks.workflow_exec_id = tree.workflow_exec_id
  AND tasks.task_exec_id = tree.task_exec_id
ORDER BY tree.depth, tasks.created_at, tasks.task_exec_id
