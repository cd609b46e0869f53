-- The collation compares by code point, and trailing blanks count. Each statement may run again.
CREATE TABLE IF NOT EXISTS {schema}.users (
  user_id VARCHAR(255) NOT NULL PRIMARY KEY,
  email VARCHAR(320) NOT NULL,
  -- Folding makes up to three characters of one: as text it would be too long for a key.
  email_folded VARBINARY(1920) NOT NULL,
  role VARCHAR(16) NOT NULL CHECK (role IN ('admin', 'user')),
  version BIGINT NOT NULL CHECK (version > 0),
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  UNIQUE KEY users_by_email (email_folded),
  KEY users_by_creation (created_at),
  KEY users_by_role (role, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS {schema}.api_keys (
  key_id VARCHAR(255) NOT NULL PRIMARY KEY,
  user_id VARCHAR(255) NOT NULL,
  prefix VARCHAR(255) NOT NULL,
  fingerprint BINARY(32) NOT NULL,
  hash LONGBLOB NOT NULL,
  created_at DATETIME(6) NOT NULL,
  last_used DATETIME(6),
  UNIQUE KEY api_keys_by_prefix (prefix),
  UNIQUE KEY api_keys_by_fingerprint (fingerprint),
  KEY api_keys_by_creation (created_at),
  KEY api_keys_by_user (user_id, created_at),
  CONSTRAINT api_keys_of_user
  FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;
