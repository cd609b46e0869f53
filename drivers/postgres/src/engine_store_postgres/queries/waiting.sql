-- name: listen :none
-- Hears what other processes write in the schema.
LISTEN {schema}

-- name: show_waiter :one
-- Lets writers see, as long as the session lasts, that somebody waits.
SELECT pg_advisory_lock_shared({waiters})

-- name: find_waiters :one
-- Whether another session than `own` waits.
SELECT EXISTS (
  SELECT 1
  FROM pg_locks
  WHERE locktype = 'advisory'
    AND objsubid = 1
    AND (classid::bigint << 32) | objid::bigint = {waiters}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid <> :own::integer
)

-- name: notify :one
-- Outside of the transactions that wrote: PostgreSQL lets those with a notification commit one by
-- one.
SELECT pg_notify(:schema, :payload)

-- fragment: waiters
hashtextextended('engine_store.waiters:' || :schema, 0)
