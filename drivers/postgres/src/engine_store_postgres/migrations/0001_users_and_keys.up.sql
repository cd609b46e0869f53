-- COLLATE "C" compares by code point: other collations are the operating system's, and differ.
CREATE TABLE {schema}.users (
  user_id text COLLATE "C" PRIMARY KEY,
  email text NOT NULL,
  email_folded text COLLATE "C" NOT NULL UNIQUE,
  role text NOT NULL CHECK (role IN ('admin', 'user')),
  version bigint NOT NULL CHECK (version > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE INDEX users_by_creation ON {schema}.users (created_at, user_id);

-- Finds whether there is an admin without reading the users.
CREATE INDEX users_admins ON {schema}.users (created_at, user_id) WHERE role = 'admin';

CREATE TABLE {schema}.api_keys (
  key_id text COLLATE "C" PRIMARY KEY,
  user_id text COLLATE "C" NOT NULL REFERENCES {schema}.users (user_id) ON DELETE CASCADE,
  prefix text COLLATE "C" NOT NULL UNIQUE,
  fingerprint bytea NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
  hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  last_used timestamptz
);

CREATE INDEX api_keys_by_creation ON {schema}.api_keys (created_at, key_id);
CREATE INDEX api_keys_by_user ON {schema}.api_keys (user_id, created_at, key_id);
