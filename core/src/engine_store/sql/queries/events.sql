-- fragment: event_columns
workflow_exec_id, number, kind, data, task_exec_id, "key", created_at

-- fragment: event_values
:kind, :data, :task_exec_id, :key, :created_at

-- fragment: and_its_task_is_there
AND EXISTS ( --? task_exec_id
    SELECT 1 --? task_exec_id
    FROM {schema}.tasks --? task_exec_id
    WHERE workflow_exec_id = :workflow_exec_id --? task_exec_id
      AND task_exec_id = :task_exec_id --? task_exec_id
  ) --? task_exec_id

-- name: lock_history :one
-- Holds a workflow for the next event of it. No row: it is missing.
SELECT workflow_exec_id
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
{for_no_key_update}

-- name: append_event! :one
-- Stores an event of a workflow that is held, with the next number. No row: there is an event with
-- the key, or the workflow, or the task in it, is missing.
INSERT INTO {schema}.events ({event_columns})
SELECT
  :workflow_exec_id,
  (
    SELECT coalesce(max(number), 0) + 1
    FROM {schema}.events
    WHERE workflow_exec_id = :workflow_exec_id
  ),
  {event_values}
WHERE EXISTS (
  SELECT 1
  FROM {schema}.workflows
  WHERE workflow_exec_id = :workflow_exec_id
    AND NOT is_deleted
)
  AND NOT EXISTS ( --? key
    SELECT 1 --? key
    FROM {schema}.events --? key
    WHERE workflow_exec_id = :workflow_exec_id --? key
      AND "key" = :key --? key
  ) --? key
  {and_its_task_is_there}
RETURNING {event_columns}

-- name: restore_event! :one
-- Stores an event as it was exported. No row: the number or the key is taken, or the workflow, or
-- the task in it, is missing.
INSERT INTO {schema}.events ({event_columns})
SELECT :workflow_exec_id, :number, {event_values}
WHERE EXISTS (
  SELECT 1
  FROM {schema}.workflows
  WHERE workflow_exec_id = :workflow_exec_id
    AND NOT is_deleted
)
  {and_its_task_is_there}
ON CONFLICT DO NOTHING
RETURNING {event_columns}

-- name: get_event :one
-- Reads an event by its number. No row: it is missing.
SELECT {event_columns}
FROM {schema}.events
WHERE workflow_exec_id = :workflow_exec_id
  AND number = :number
  AND {is_there}

-- name: find_events :many
-- Lists the events of a workflow that have one of the keys.
SELECT {event_columns}
FROM {schema}.events
WHERE workflow_exec_id = :workflow_exec_id
  AND "key" {in_keys}

-- name: find_tasks :many
-- Lists those of the ids that are of tasks of a workflow.
SELECT task_exec_id
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND task_exec_id {in_task_exec_ids}

-- name: list_events :many
-- Lists the events of a workflow after a number, by number.
SELECT {event_columns}
FROM {schema}.events
WHERE workflow_exec_id = :workflow_exec_id
  AND number > :after
  AND {is_there}
  AND kind {in_kinds} --? kinds
ORDER BY number
LIMIT :limit

-- name: remove_events! :many
-- Removes some `limit` events of deleted workflows, or of one of them. Fewer rows than that: those
-- of some workflow are all gone.
-- takes: limit, workflow_exec_id?
-- gives: number
