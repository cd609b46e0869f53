-- name: create_api_key! :one
-- A new one or a restored one. No row: the id, the fingerprint or the prefix is taken, or the user
-- is missing.
INSERT INTO {schema}.api_keys (key_id, user_id, prefix, fingerprint, hash, created_at, last_used)
SELECT :key_id, :user_id, :prefix, :fingerprint, :hash, :created_at, :last_used
WHERE EXISTS (SELECT 1 FROM {schema}.users WHERE user_id = :user_id)
ON CONFLICT DO NOTHING
RETURNING {api_key_columns}
