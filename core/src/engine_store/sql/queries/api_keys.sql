-- fragment: api_key_columns
key_id, user_id, prefix, fingerprint, hash, created_at, last_used

-- fragment: return_api_key
RETURNING {api_key_columns}

-- name: get_api_key :one
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE key_id = :key_id

-- name: get_api_key_by_fingerprint :one
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE fingerprint = :fingerprint

-- name: get_api_key_by_prefix :one
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE prefix = :prefix

-- name: list_api_keys :many
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE true
  AND user_id = :user_id --? user_id
  AND (created_at, key_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, key_id
LIMIT :limit

-- name: touch_api_key! :one
-- Never backwards: the later of what is stored and what is given.
UPDATE {schema}.api_keys
SET last_used = {greatest}(coalesce(last_used, :used), :used)
WHERE key_id = :key_id
{return_api_key}

-- name: delete_api_key! :one
DELETE FROM {schema}.api_keys
WHERE key_id = :key_id
RETURNING key_id
