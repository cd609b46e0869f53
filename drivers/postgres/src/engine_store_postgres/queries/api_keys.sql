-- name: create_api_key! :one
-- A new one or a restored one. No row: the id, the fingerprint or the prefix is taken, or the user
-- is missing. The user is held, so that it cannot be deleted between this look and the foreign key's.
INSERT INTO {schema}.api_keys
  (key_id, user_id, prefix, fingerprint, hash, created_at, last_used)
SELECT
  :key_id::text, :user_id::text, :prefix::text, :fingerprint::bytea, :hash::bytea,
  :created_at::timestamptz, :last_used::timestamptz
FROM {schema}.users AS owner
WHERE owner.user_id = :user_id
FOR KEY SHARE
ON CONFLICT DO NOTHING
RETURNING {api_key_columns}
