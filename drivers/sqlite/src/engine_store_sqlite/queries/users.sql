-- name: lock_admins :none
-- Nothing to do: the write lock of the transaction keeps everybody from making an admin.
SELECT 1

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
    updated_at = max(updated_at, :now)
WHERE user_id = :user_id
  AND version = :version
  AND created_at = :created_at --? created_at
  AND NOT EXISTS (
    SELECT 1
    FROM {schema}.users AS other
    WHERE other.email_folded = :email_folded
      AND other.user_id <> :user_id
  )
RETURNING {user_columns}

-- name: upsert_user! :one
-- No row: another created_at is stored, or the email is taken.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
SELECT :user_id, :email, :email_folded, :role, 1, :now, :now
WHERE NOT EXISTS (
  SELECT 1
  FROM {schema}.users AS other
  WHERE other.email_folded = :email_folded
    AND other.user_id <> :user_id
)
ON CONFLICT (user_id) DO UPDATE
SET email = excluded.email,
    email_folded = excluded.email_folded,
    role = excluded.role,
    version = users.version + 1,
    updated_at = max(users.updated_at, excluded.updated_at)
WHERE true
  AND users.created_at = :created_at --? created_at
RETURNING {user_columns}
