-- What happened in a workflow, numbered in the order of commits.
CREATE TABLE events (
  workflow_exec_id TEXT NOT NULL REFERENCES workflows (workflow_exec_id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK (number > 0),
  kind TEXT NOT NULL,
  data TEXT,
  task_exec_id TEXT,
  key TEXT,
  created_at TEXT NOT NULL CHECK (length(created_at) = 32),
  PRIMARY KEY (workflow_exec_id, number)
) STRICT;

-- An event with a key is there once.
CREATE UNIQUE INDEX events_by_key ON events (workflow_exec_id, key) WHERE key IS NOT NULL;
