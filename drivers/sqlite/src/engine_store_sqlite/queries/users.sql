-- name: lock_admins :none
-- Nothing to do: the write lock of the transaction keeps everybody from making an admin.
SELECT 1

-- name: upsert_user! :one
-- No row: another created_at is stored, or the email is taken.
INSERT INTO {schema}.users (user_id, email, email_folded, role, version, created_at, updated_at)
SELECT :user_id, :email, :email_folded, :role, 1, :now, :now
WHERE NOT {email_is_taken}
ON CONFLICT (user_id) DO UPDATE
SET email = excluded.email,
    email_folded = excluded.email_folded,
    role = excluded.role,
    version = users.version + 1,
    updated_at = max(users.updated_at, excluded.updated_at)
WHERE true
  AND users.created_at = :created_at --? created_at
RETURNING {user_columns}
