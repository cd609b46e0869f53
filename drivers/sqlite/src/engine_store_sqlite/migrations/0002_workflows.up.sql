-- Payloads are JSON text, kept to the letter.
CREATE TABLE workflows (
  workflow_exec_id TEXT NOT NULL PRIMARY KEY,
  workflow_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  input TEXT,
  output TEXT,
  error TEXT,
  usage TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  created_at TEXT NOT NULL CHECK (length(created_at) = 32),
  updated_at TEXT NOT NULL CHECK (length(updated_at) = 32)
) STRICT;

CREATE INDEX workflows_by_creation ON workflows (created_at, workflow_exec_id);

-- Lists and the latest execution of one workflow.
CREATE INDEX workflows_by_workflow ON workflows (workflow_id, created_at, workflow_exec_id);

-- Purging: what ended longest ago.
CREATE INDEX workflows_by_end ON workflows (status, updated_at, workflow_exec_id);

-- Lists by status, newest first. Made after the index above: of two that serve alike SQLite takes
-- the younger, and only this one has the rows in their order.
CREATE INDEX workflows_by_status ON workflows (status, created_at, workflow_exec_id);
