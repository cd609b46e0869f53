-- name: remove_events! :many
DELETE FROM {schema}.events
WHERE rowid IN (
  SELECT rowid
  FROM {schema}.events
  WHERE workflow_exec_id IN (
{few_deleted}
  )
  LIMIT :limit
)
RETURNING number
