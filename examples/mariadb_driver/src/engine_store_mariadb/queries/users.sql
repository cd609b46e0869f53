-- fragment: return_user
-- UPDATE has no RETURNING: the statement has a second part.
;
SELECT {user_columns}
FROM {schema}.users
WHERE user_id = :user_id

-- name: list_users :many
-- Rows are compared without an index: created_at says again where to begin.
SELECT {user_columns}
FROM {schema}.users
WHERE true
  AND role = :role --? role
  AND created_at >= :after_created_at --? after_id
  AND (created_at, user_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, user_id
LIMIT :limit

-- name: lock_admins :none
-- The record of the first step is a row that is always there.
SELECT version
FROM {schema}.engine_store_migrations
WHERE version = 1
FOR UPDATE

-- name: create_user! :one
-- A new one or a restored one. No row: the id or the email is taken. INSERT IGNORE would also pass
-- over values that do not fit; if another one is as fast, a key is doubled, and this runs again.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
SELECT :user_id, :email, :email_folded, :role, :version, :created_at, :updated_at
WHERE NOT EXISTS (SELECT 1 FROM {schema}.users WHERE user_id = :user_id)
  AND NOT EXISTS (SELECT 1 FROM {schema}.users WHERE email_folded = :email_folded)
RETURNING {user_columns}

-- name: upsert_user! :one
-- No row: another created_at is stored, or the email is taken. ON DUPLICATE KEY UPDATE has no WHERE,
-- and may meet the user who has the email: @fits, of the session, says whether the row is written.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
SELECT :user_id, :email, :email_folded, :role, 1, :now, :now
WHERE NOT {email_is_taken}
  AND (@fits := true)
ON DUPLICATE KEY UPDATE
  version = version + (
    @fits := users.user_id = VALUES(user_id)
    AND (:created_at IS NULL OR users.created_at = :created_at)
  ),
  email = IF(@fits, VALUES(email), email),
  email_folded = IF(@fits, VALUES(email_folded), email_folded),
  role = IF(@fits, VALUES(role), role),
  updated_at = IF(@fits, greatest(updated_at, VALUES(updated_at)), updated_at)
{return_user}
  AND @fits
