-- fragment: user_columns
user_id, email, role, version, created_at, updated_at

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

-- name: delete_user! :one
-- The user's API keys go with it, by the foreign key.
DELETE FROM {schema}.users
WHERE user_id = :user_id
RETURNING user_id
