-- fragment: return_api_key
;
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE key_id = :key_id

-- name: list_api_keys :many
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE true
  AND user_id = :user_id --? user_id
  AND created_at >= :after_created_at --? after_id
  AND (created_at, key_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, key_id
LIMIT :limit

-- name: create_api_key! :one
-- A new one or a restored one. No row: the id, the fingerprint or the prefix is taken, or the user
-- is missing.
INSERT INTO {schema}.api_keys (key_id, user_id, prefix, fingerprint, hash, created_at, last_used)
SELECT :key_id, :user_id, :prefix, :fingerprint, :hash, :created_at, :last_used
FROM {schema}.users AS owner
WHERE owner.user_id = :user_id
  AND NOT EXISTS (SELECT 1 FROM {schema}.api_keys WHERE key_id = :key_id)
  AND NOT EXISTS (SELECT 1 FROM {schema}.api_keys WHERE fingerprint = :fingerprint)
  AND NOT EXISTS (SELECT 1 FROM {schema}.api_keys WHERE prefix = :prefix)
RETURNING {api_key_columns}
