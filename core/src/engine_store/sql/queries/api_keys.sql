-- fragment: api_key_columns
key_id, user_id, prefix, fingerprint, hash, created_at, last_used

-- fragment: return_api_key
RETURNING {api_key_columns}

-- name: get_api_key :one
-- Reads an API key. No row: it is missing.
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE key_id = :key_id

-- name: get_api_key_by_fingerprint :one
-- Reads an API key. No row: it is missing.
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE fingerprint = :fingerprint

-- name: get_api_key_by_prefix :one
-- Reads an API key. No row: it is missing.
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE prefix = :prefix

-- name: list_api_keys :many
-- Lists API keys by created_at, key_id, after (:after_created_at, :after_id). The limit is one
-- more than the page.
SELECT {api_key_columns}
FROM {schema}.api_keys
WHERE true
  AND user_id = :user_id --? user_id
  AND (created_at, key_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, key_id
LIMIT :limit

-- name: create_api_key! :one
-- Stores a new API key, or a restored one. No row: the id, the fingerprint or the prefix is taken,
-- or the user is missing.
-- takes: key_id, user_id, prefix, fingerprint, hash, created_at, last_used
-- gives: {api_key_columns}

-- name: touch_api_key! :one
-- Sets last_used to `used`, but never back. No row: it is missing.
UPDATE {schema}.api_keys
SET last_used = {greatest}(coalesce(last_used, :used), :used)
WHERE key_id = :key_id
{return_api_key}

-- name: delete_api_key! :one
-- Deletes an API key. No row: it is missing.
DELETE FROM {schema}.api_keys
WHERE key_id = :key_id
RETURNING key_id
