-- fragment: event_values
:kind::text, :data::json, :task_exec_id::text, :key::text, :created_at::timestamptz

-- name: restore_event! :one
-- The workflow is held: it cannot be deleted meanwhile.
INSERT INTO {schema}.events ({event_columns})
SELECT :workflow_exec_id::text, :number::bigint, {event_values}
FROM {schema}.workflows AS whole
WHERE whole.workflow_exec_id = :workflow_exec_id
  AND NOT whole.is_deleted
  {and_its_task_is_there}
FOR KEY SHARE OF whole
ON CONFLICT DO NOTHING
RETURNING {event_columns}

-- name: remove_events! :many
DELETE FROM {schema}.events
WHERE ctid = ANY (
  ARRAY(
    SELECT ctid
    FROM {schema}.events
    WHERE workflow_exec_id = ANY (
      ARRAY(
{few_deleted}
      )
    )
    LIMIT :limit
  )
)
RETURNING number
