-- What happened in a workflow, numbered in the order of commits.
CREATE TABLE {schema}.events (
  workflow_exec_id text COLLATE "C" NOT NULL
  REFERENCES {schema}.workflows (workflow_exec_id) ON DELETE CASCADE,
  number bigint NOT NULL CHECK (number > 0),
  kind text COLLATE "C" NOT NULL,
  data json,
  task_exec_id text COLLATE "C",
  key text COLLATE "C",
  created_at timestamptz NOT NULL,
  PRIMARY KEY (workflow_exec_id, number)
);

-- An event with a key is there once.
CREATE UNIQUE INDEX events_by_key ON {schema}.events (workflow_exec_id, key)
WHERE key IS NOT NULL;
