-- name: create_migrations! :none
-- The record of applied steps.
CREATE TABLE IF NOT EXISTS {schema}.engine_store_migrations (
  version bigint PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL
)

-- name: has_schema :one
SELECT 1
FROM pg_namespace
WHERE nspname = :schema

-- name: create_schema! :none
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: list_names :many
-- The names that are taken in the schema: of tables, indexes, sequences, views and types.
SELECT relname
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :schema
UNION
SELECT typname
FROM pg_type
JOIN pg_namespace ON pg_namespace.oid = typnamespace
WHERE nspname = :schema

-- name: has_migrations :one
SELECT 1
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :schema
  AND relname = 'engine_store_migrations'

-- name: try_migration_lock :one
-- Held to the end of the transaction. Tried, not waited for: who waits inside a statement has a
-- snapshot, which CREATE INDEX CONCURRENTLY of the one that has the lock would wait for in turn.
SELECT pg_try_advisory_xact_lock(hashtextextended('engine_store.migrations:' || :schema, 0))

-- name: find_index :one
-- Whether an index of the schema is valid; CREATE INDEX CONCURRENTLY that ended early left one
-- that is not.
SELECT indisvalid
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :schema
  AND relname = :index

-- name: describe_schema :many
-- The schema as it is: a line for each column, constraint, index and trigger, without its name.
SELECT
  'column of ' || relname,
  format(
    '%s %s%s%s%s',
    attname,
    format_type(atttypid, atttypmod),
    CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || collname ELSE '' END,
    CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END,
    ' DEFAULT ' || pg_get_expr(adbin, adrelid)
  )
FROM pg_attribute
JOIN pg_class ON pg_class.oid = attrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_type ON pg_type.oid = atttypid
LEFT JOIN pg_collation ON pg_collation.oid = attcollation
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE nspname = :schema
  AND relkind IN ('r', 'p', 'v', 'm', 'f')
  AND attnum > 0
  AND NOT attisdropped
UNION ALL
-- What is NOT NULL is told with the column; PostgreSQL 18 also calls it a constraint.
SELECT 'constraint of ' || relname, conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
FROM pg_constraint
JOIN pg_class ON pg_class.oid = conrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :schema
  AND contype <> 'n'
UNION ALL
SELECT
  'index of ' || tablename,
  indexdef || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
FROM pg_indexes
JOIN pg_index ON indexrelid = (quote_ident(schemaname) || '.' || quote_ident(indexname))::regclass
WHERE schemaname = :schema
UNION ALL
SELECT 'trigger of ' || relname, pg_get_triggerdef(pg_trigger.oid)
FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = :schema
  AND NOT tgisinternal

-- name: temporary_schema :one
-- The name of the schema of this session's temporary tables.
SELECT nspname
FROM pg_namespace
WHERE oid = pg_my_temp_schema()

-- name: server_state :one
-- The version of the server, and why the tables that are there cannot be written; null: they can.
SELECT
  current_setting('server_version'),
  CASE
    WHEN pg_is_in_recovery() THEN 'the server is a standby'
    WHEN current_setting('transaction_read_only') = 'on'
      THEN 'transactions are read-only by default_transaction_read_only'
    WHEN NOT (
      SELECT bool_and(
        has_table_privilege(pg_class.oid, 'INSERT')
        AND has_table_privilege(pg_class.oid, 'UPDATE')
        AND has_table_privilege(pg_class.oid, 'DELETE')
      )
      FROM pg_class
      JOIN pg_namespace ON pg_namespace.oid = relnamespace
      WHERE nspname = :schema
        AND relkind IN ('r', 'p')
        AND relname IN ('users', 'api_keys', 'workflows', 'tasks')
    )
      THEN 'the user lacks a privilege to write the tables of schema ' || :schema
  END

-- name: server_encoding :one
SELECT current_setting('server_encoding')

-- name: find_pgvector :one
-- The version of the extension `vector` here; null: it can be made; no row: it cannot.
SELECT installed_version
FROM pg_available_extensions
WHERE name = 'vector'

-- name: create_pgvector! :none
CREATE EXTENSION IF NOT EXISTS vector
