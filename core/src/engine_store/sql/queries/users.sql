-- fragment: user_columns
user_id, email, role, version, created_at, updated_at

-- fragment: return_user
RETURNING {user_columns}

-- fragment: email_is_taken
EXISTS (
  SELECT 1
  FROM {schema}.users AS other
  WHERE other.email_folded = :email_folded
    AND other.user_id <> :user_id
)

-- name: get_user :one
-- Reads a user. No row: it is missing.
SELECT {user_columns}
FROM {schema}.users
WHERE user_id = :user_id

-- name: lock_user :one
-- Reads what is committed, and holds the row until the transaction ends. No row: it is missing.
SELECT {user_columns}
FROM {schema}.users
WHERE user_id = :user_id
{for_update}

-- name: get_user_by_email :one
-- Reads a user. No row: it is missing.
SELECT {user_columns}
FROM {schema}.users
WHERE email_folded = :email_folded

-- name: list_users :many
-- Lists users by created_at, user_id, after (:after_created_at, :after_id). The limit is one more
-- than the page.
SELECT {user_columns}
FROM {schema}.users
WHERE true
  AND role = :role --? role
  AND (created_at, user_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, user_id
LIMIT :limit

-- name: create_user! :one
-- Stores a new user, or a restored one. No row: the id or the email is taken.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
VALUES (:user_id, :email, :email_folded, :role, :version, :created_at, :updated_at)
ON CONFLICT DO NOTHING
RETURNING {user_columns}

-- name: update_user! :one
-- Compare-and-set: version + 1; updated_at never goes back. No row: it is missing, has another
-- version or created_at, or the email is taken.
UPDATE {schema}.users
SET email = :email,
    email_folded = :email_folded,
    role = :role,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE user_id = :user_id
  AND version = :version
  AND created_at = :created_at --? created_at
  AND NOT {email_is_taken}
{return_user}

-- name: upsert_user! :one
-- Stores a user with version 1, or updates the one that is there. No row: another created_at is
-- stored, or the email is taken.
-- takes: user_id, email, email_folded, role, created_at?, now
-- gives: {user_columns}

-- name: delete_user! :one
-- Deletes a user and its API keys, here by the foreign key. No row: it is missing.
DELETE FROM {schema}.users
WHERE user_id = :user_id
RETURNING user_id

-- name: lock_admins :none
-- Keeps every other `create_initial_admin_if_none` waiting until the transaction ends.

-- name: find_admin :one
-- Finds any user who is an admin. No row: there is none.
SELECT user_id
FROM {schema}.users
WHERE role = 'admin'
LIMIT 1
