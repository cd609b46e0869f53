-- name: restore_event! :one
INSERT INTO {schema}.events ({event_columns})
SELECT :workflow_exec_id, :number, {event_values}
FROM {schema}.workflows AS whole
WHERE whole.workflow_exec_id = :workflow_exec_id
  AND NOT whole.is_deleted
  {and_its_task_is_there}
  AND NOT EXISTS (
    SELECT 1
    FROM {schema}.events
    WHERE workflow_exec_id = :workflow_exec_id
      AND (number = :number OR "key" = :key)
  )
RETURNING {event_columns}

-- name: remove_events! :many
DELETE FROM {schema}.events
WHERE workflow_exec_id IN (
  SELECT workflow_exec_id
  FROM {schema}.workflows
  WHERE is_deleted
    AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
)
LIMIT :limit
RETURNING number
