-- name: lock_admins :none
-- Nobody else makes a user, or changes one, until the end of the transaction. A statement of its
-- own: the next one sees what was committed while this one waited.
LOCK TABLE {schema}.users IN SHARE ROW EXCLUSIVE MODE

-- name: upsert_user! :one
-- No row: another created_at is stored, or the email is taken.
INSERT INTO {schema}.users AS stored
  (user_id, email, email_folded, role, version, created_at, updated_at)
SELECT
  :user_id::text, :email::text, :email_folded::text, :role::text, 1, :now::timestamptz,
  :now::timestamptz
WHERE NOT {email_is_taken}
ON CONFLICT (user_id) DO UPDATE
SET email = excluded.email,
    email_folded = excluded.email_folded,
    role = excluded.role,
    version = stored.version + 1,
    updated_at = greatest(stored.updated_at, excluded.updated_at)
WHERE true
  AND stored.created_at = :created_at --? created_at
RETURNING {user_columns}
