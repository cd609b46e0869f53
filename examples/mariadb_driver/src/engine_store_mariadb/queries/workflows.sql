-- fragment: return_workflow
;
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id

-- name: create_workflow! :one
-- A new one or a restored one. No row: the id is taken.
INSERT INTO {schema}.workflows ({workflow_columns})
SELECT {workflow_values}, :version, :created_at, :updated_at
WHERE NOT EXISTS (
  SELECT 1 FROM {schema}.workflows WHERE workflow_exec_id = :workflow_exec_id
)
RETURNING {workflow_columns}

-- name: upsert_workflow! :one
-- No row: an immutable field differs from what is stored.
INSERT INTO {schema}.workflows ({workflow_columns})
SELECT {workflow_values}, 1, :now, :now
WHERE (@fits := true)
ON DUPLICATE KEY UPDATE
  version = version + (
    @fits := workflows.workflow_id = VALUES(workflow_id)
    AND NOT workflows.is_deleted
    AND (:created_at IS NULL OR workflows.created_at = :created_at)
  ),
  status = IF(@fits, VALUES(status), status),
  input = IF(@fits, VALUES(input), input),
  output = IF(@fits, VALUES(output), output),
  error = IF(@fits, VALUES(error), error),
  "usage" = IF(@fits, VALUES("usage"), "usage"),
  updated_at = IF(@fits, greatest(updated_at, VALUES(updated_at)), updated_at)
{return_workflow}
  AND @fits

-- name: remove_tasks! :many
DELETE FROM {schema}.tasks
WHERE workflow_exec_id IN (
  SELECT workflow_exec_id
  FROM {schema}.workflows
  WHERE is_deleted
    AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
)
LIMIT :limit
RETURNING task_exec_id
