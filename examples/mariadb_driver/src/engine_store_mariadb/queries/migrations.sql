-- name: has_schema :one
SELECT 1
FROM information_schema.schemata
WHERE schema_name = :schema

-- name: create_schema! :none
CREATE DATABASE IF NOT EXISTS {schema}

-- name: has_migrations :one
SELECT 1
FROM information_schema.tables
WHERE table_schema = :schema
  AND table_name = 'engine_store_migrations'

-- name: create_migrations! :none
-- The record of steps; one that has begun and not ended has no time.
CREATE TABLE IF NOT EXISTS {schema}.engine_store_migrations (
  version BIGINT NOT NULL PRIMARY KEY,
  name VARCHAR(255) NOT NULL,
  checksum CHAR(64) NOT NULL,
  applied_at DATETIME(6)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin

-- name: try_migration_lock :one
-- Held until it is released, or the connection ends: each statement of DDL ends a transaction.
SELECT GET_LOCK(concat('engine_store.', sha1(:schema)), 0) = 1

-- name: release_migration_lock :none
SELECT RELEASE_LOCK(concat('engine_store.', sha1(:schema)))

-- name: record_started! :none
INSERT INTO {schema}.engine_store_migrations (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, NULL)
ON DUPLICATE KEY UPDATE name = :name, checksum = :checksum, applied_at = NULL

-- name: record_applied! :none
UPDATE {schema}.engine_store_migrations
SET name = :name, checksum = :checksum, applied_at = :applied_at
WHERE version = :version

-- name: list_applied :many
SELECT version, name, checksum, applied_at
FROM {schema}.engine_store_migrations
WHERE applied_at IS NOT NULL
ORDER BY version

-- name: list_objects :many
-- What the database holds: tables, views, triggers.
SELECT table_name, table_type
FROM information_schema.tables
WHERE table_schema = :schema
UNION ALL
SELECT trigger_name, action_statement
FROM information_schema.triggers
WHERE trigger_schema = :schema

-- name: server_state :one
SELECT version(), CASE WHEN @@read_only THEN 'the server is read-only' END
