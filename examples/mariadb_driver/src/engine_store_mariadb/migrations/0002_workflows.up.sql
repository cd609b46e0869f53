-- Documents are LONGTEXT, kept to the letter: what MariaDB calls JSON is that with a check, which
-- refuses documents of more than 32 levels.
CREATE TABLE IF NOT EXISTS {schema}.workflows (
  workflow_exec_id VARCHAR(255) NOT NULL PRIMARY KEY,
  workflow_id VARCHAR(255) NOT NULL,
  status VARCHAR(16) NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  input LONGTEXT,
  output LONGTEXT,
  error LONGTEXT,
  "usage" LONGTEXT NOT NULL,
  version BIGINT NOT NULL CHECK (version > 0),
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  is_deleted BOOLEAN NOT NULL DEFAULT FALSE,
  KEY workflows_by_creation (created_at),
  KEY workflows_by_workflow (workflow_id, created_at),
  KEY workflows_by_status (status, created_at),
  KEY workflows_by_end (status, updated_at),
  KEY workflows_deleted (is_deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;
