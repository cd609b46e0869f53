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
SELECT {user_columns}
FROM {schema}.users
WHERE user_id = :user_id

-- name: get_user_by_email :one
SELECT {user_columns}
FROM {schema}.users
WHERE email_folded = :email_folded

-- name: list_users :many
SELECT {user_columns}
FROM {schema}.users
WHERE true
  AND role = :role --? role
  AND (created_at, user_id) > (:after_created_at, :after_id) --? after_id
ORDER BY created_at, user_id
LIMIT :limit

-- name: find_admin :one
SELECT user_id
FROM {schema}.users
WHERE role = 'admin'
LIMIT 1

-- name: create_user! :one
-- A new one or a restored one. No row: the id or the email is taken.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
VALUES (:user_id, :email, :email_folded, :role, :version, :created_at, :updated_at)
ON CONFLICT DO NOTHING
RETURNING {user_columns}

-- name: update_user! :one
-- Compare-and-set. No row: missing, another version, another created_at, or the email is taken.
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

-- name: delete_user! :one
-- The user's API keys go with it, by the foreign key.
DELETE FROM {schema}.users
WHERE user_id = :user_id
RETURNING user_id
