-- name: has_schema :one
-- A row if there is what `create_schema` makes.
SELECT 1

-- name: create_schema! :none
SELECT 1

-- name: try_migration_lock :one
-- Whether the lock is held now. Here it is: what begins the transaction waits for it.
SELECT 1

-- name: list_applied :many
SELECT version, name, checksum, applied_at
FROM {schema}.engine_store_migrations
ORDER BY version

-- name: record_applied! :none
INSERT INTO {schema}.engine_store_migrations (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, :applied_at)

-- name: forget_applied! :none
DELETE FROM {schema}.engine_store_migrations
WHERE version = :version

-- name: server_state :one
-- Nothing is known.
SELECT NULL, NULL
