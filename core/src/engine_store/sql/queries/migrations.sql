-- name: has_schema :one
-- Finds what `create_schema` makes. No row: it has not run.
-- gives: 1
SELECT 1

-- name: create_schema! :none
-- Makes what the tables lie in.
SELECT 1

-- name: create_migrations! :none
-- Makes the record of steps, if it is missing.

-- name: has_migrations :one
-- Finds the record of steps. No row: it is missing.
-- gives: 1

-- name: try_migration_lock :one
-- Tries the migration lock without waiting, held to the end of the transaction; without
-- transactional DDL, to `release_migration_lock`. Here it is held: what begins the transaction
-- waits for it.
-- gives: held
SELECT 1

-- name: release_migration_lock :none
-- Releases the migration lock.
-- needed if: transactional_ddl is false

-- name: record_started! :none
-- Records that a step runs: from now on it does not count as applied.
-- takes: version, name, checksum
-- needed if: transactional_ddl is false

-- name: record_applied! :none
-- Records that a step is applied.
INSERT INTO {schema}.engine_store_migrations (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, :applied_at)

-- name: forget_applied! :none
-- Removes a step from the record.
DELETE FROM {schema}.engine_store_migrations
WHERE version = :version

-- name: list_applied :many
-- Lists the applied steps by version.
SELECT version, name, checksum, applied_at
FROM {schema}.engine_store_migrations
ORDER BY version

-- name: server_state :one
-- Reads the version of the server, and why the tables cannot be written; null: they can. Here
-- nothing is known.
-- gives: version, problem
SELECT NULL, NULL
