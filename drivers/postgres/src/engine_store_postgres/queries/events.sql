-- name: append_event! :one
INSERT INTO {schema}.events ({event_columns})
SELECT
  :workflow_exec_id::text,
  (
    SELECT coalesce(max(number), 0) + 1
    FROM {schema}.events
    WHERE workflow_exec_id = :workflow_exec_id
  ),
  :kind::text, :data::json, :task_exec_id::text, :key::text, :created_at::timestamptz
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
  AND EXISTS ( --? task_exec_id
    SELECT 1 --? task_exec_id
    FROM {schema}.tasks --? task_exec_id
    WHERE workflow_exec_id = :workflow_exec_id --? task_exec_id
      AND task_exec_id = :task_exec_id --? task_exec_id
  ) --? task_exec_id
RETURNING {event_columns}

-- name: restore_event! :one
-- The workflow is held: it cannot be deleted meanwhile.
INSERT INTO {schema}.events ({event_columns})
SELECT
  :workflow_exec_id::text, :number::bigint, :kind::text, :data::json, :task_exec_id::text,
  :key::text, :created_at::timestamptz
FROM {schema}.workflows AS whole
WHERE whole.workflow_exec_id = :workflow_exec_id
  AND NOT whole.is_deleted
  AND EXISTS ( --? task_exec_id
    SELECT 1 --? task_exec_id
    FROM {schema}.tasks --? task_exec_id
    WHERE workflow_exec_id = :workflow_exec_id --? task_exec_id
      AND task_exec_id = :task_exec_id --? task_exec_id
  ) --? task_exec_id
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
