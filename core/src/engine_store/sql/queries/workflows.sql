-- fragment: workflow_columns
workflow_exec_id, workflow_id, status, input, output, error, usage, version, created_at, updated_at

-- name: get_workflow :one
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id

-- name: delete_workflow! :one
-- The tasks go with it, by the foreign key.
DELETE FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
RETURNING workflow_exec_id
