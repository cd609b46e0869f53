-- Payloads are json, which keeps the text to the letter. jsonb does not: it turns 1e17 into an
-- integer and -0.0 into 0.
CREATE TABLE {schema}.workflows (
  workflow_exec_id text COLLATE "C" PRIMARY KEY,
  workflow_id text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  input json,
  output json,
  error json,
  usage json NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE INDEX workflows_by_creation ON {schema}.workflows (created_at, workflow_exec_id);

-- Lists and the latest execution of one workflow.
CREATE INDEX workflows_by_workflow
ON {schema}.workflows (workflow_id, created_at, workflow_exec_id);

-- Lists by status, newest first.
CREATE INDEX workflows_by_status ON {schema}.workflows (status, created_at, workflow_exec_id);

-- Purging: what ended longest ago.
CREATE INDEX workflows_by_end ON {schema}.workflows (status, updated_at, workflow_exec_id);
