-- Times are UTC text of fixed width (2026-01-31T12:00:00.000000+00:00): they sort as text, people
-- read them, and SQLite's date functions know them. STRICT keeps every other format out.
CREATE TABLE users (
  user_id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL,
  email_folded TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
  version INTEGER NOT NULL CHECK (version > 0),
  created_at TEXT NOT NULL CHECK (length(created_at) = 32),
  updated_at TEXT NOT NULL CHECK (length(updated_at) = 32)
) STRICT;

CREATE INDEX users_by_creation ON users (created_at, user_id);

-- Finds whether there is an admin without reading the users.
CREATE INDEX users_admins ON users (role) WHERE role = 'admin';

CREATE TABLE api_keys (
  key_id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
  prefix TEXT NOT NULL UNIQUE,
  fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
  hash BLOB NOT NULL,
  created_at TEXT NOT NULL CHECK (length(created_at) = 32),
  last_used TEXT CHECK (length(last_used) = 32)
) STRICT;

CREATE INDEX api_keys_by_creation ON api_keys (created_at, key_id);
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at, key_id);
