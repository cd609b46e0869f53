-- name: create_migrations :none
-- The record of applied steps.
CREATE TABLE IF NOT EXISTS engine_store_migrations (
  version INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  applied_at TEXT NOT NULL
) STRICT

-- name: has_migrations :one
SELECT 1
FROM sqlite_schema
WHERE type = 'table'
  AND name = 'engine_store_migrations'

-- name: list_applied :many
SELECT version, name, checksum, applied_at
FROM engine_store_migrations
ORDER BY version

-- name: record_applied :none
INSERT INTO engine_store_migrations (version, name, checksum, applied_at)
VALUES (:version, :name, :checksum, :applied_at)

-- name: forget_applied :none
DELETE FROM engine_store_migrations
WHERE version = :version
