-- name: create_migrations! :none
-- The record of applied steps.
CREATE TABLE IF NOT EXISTS {schema}.engine_store_migrations (
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

-- name: has_schema :one
-- Whether the file is marked as ours: "ESTR" in ASCII.
SELECT 1
FROM pragma_application_id
WHERE application_id = 1163088978

-- name: create_schema! :none
PRAGMA application_id = 1163088978
