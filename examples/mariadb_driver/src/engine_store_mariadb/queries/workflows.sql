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

-- fragment: workflow_fits
workflows.workflow_id = VALUES(workflow_id)
AND (:created_at IS NULL OR workflows.created_at = :created_at)

-- name: upsert_workflow! :one
-- No row: an immutable field differs from what is stored.
INSERT INTO {schema}.workflows ({workflow_columns})
VALUES ({workflow_values}, 1, :now, :now)
ON DUPLICATE KEY UPDATE
  status = IF({workflow_fits}, VALUES(status), status),
  input = IF({workflow_fits}, VALUES(input), input),
  output = IF({workflow_fits}, VALUES(output), output),
  error = IF({workflow_fits}, VALUES(error), error),
  usage = IF({workflow_fits}, VALUES(usage), usage),
  version = version + IF({workflow_fits}, 1, 0),
  updated_at = IF({workflow_fits}, greatest(updated_at, VALUES(updated_at)), updated_at)
{return_workflow}
  AND workflow_id = :workflow_id
  AND created_at = :created_at --? created_at
