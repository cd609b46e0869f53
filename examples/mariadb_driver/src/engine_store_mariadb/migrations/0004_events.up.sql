CREATE TABLE IF NOT EXISTS {schema}.events (
  workflow_exec_id VARCHAR(255) NOT NULL,
  number BIGINT NOT NULL CHECK (number > 0),
  kind VARCHAR(255) NOT NULL,
  data LONGTEXT,
  task_exec_id VARCHAR(255),
  "key" VARCHAR(255),
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (workflow_exec_id, number),
  UNIQUE KEY events_by_key (workflow_exec_id, "key"),
  CONSTRAINT events_of_workflow
  FOREIGN KEY (workflow_exec_id) REFERENCES workflows (workflow_exec_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;
