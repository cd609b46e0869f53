-- name: create_api_key! :one
-- A new one or a restored one. No row: the id, the fingerprint or the prefix is taken, or the user
-- is missing.
INSERT INTO {schema}.api_keys (key_id, user_id, prefix, fingerprint, hash, created_at, last_used)
SELECT :key_id, :user_id, :prefix, :fingerprint, :hash, :created_at, :last_used
WHERE EXISTS (SELECT 1 FROM {schema}.users WHERE user_id = :user_id)
ON CONFLICT DO NOTHING
RETURNING {api_key_columns}

-- name: touch_api_key! :one
-- Never backwards: the later of what is stored and what is given.
UPDATE {schema}.api_keys
SET last_used = max(coalesce(last_used, :used), :used)
WHERE key_id = :key_id
RETURNING {api_key_columns}
