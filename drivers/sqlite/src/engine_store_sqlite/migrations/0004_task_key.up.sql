-- A task is written into one index less: the key of workflow and task served only the reference to
-- a parent. SQLite cannot drop a key, so the table is made anew: parents before children, as they
-- came.
CREATE TABLE tasks_anew (
  workflow_exec_id TEXT NOT NULL REFERENCES workflows (workflow_exec_id) ON DELETE CASCADE,
  task_exec_id TEXT NOT NULL PRIMARY KEY,
  task_id TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  component TEXT NOT NULL CHECK (component IN ('workflow', 'task', 'agent', 'tool', 'log')),
  execution_type TEXT NOT NULL CHECK (
    execution_type IN (
      'basic', 'router', 'parallel', 'collection', 'composite', 'wait', 'signal', 'aggregate',
      'memory'
    )
  ),
  status TEXT NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  parent_state_id TEXT REFERENCES tasks_anew (task_exec_id),
  agent_id TEXT,
  action_id TEXT,
  tool_id TEXT,
  input TEXT,
  output TEXT,
  error TEXT,
  usage TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  created_at TEXT NOT NULL CHECK (length(created_at) = 32),
  updated_at TEXT NOT NULL CHECK (length(updated_at) = 32),
  CHECK (parent_state_id <> task_exec_id)
) STRICT;

INSERT INTO tasks_anew (
  workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
  parent_state_id, agent_id, action_id, tool_id, input, output, error, usage, version, created_at,
  updated_at
)
SELECT
  workflow_exec_id, task_exec_id, task_id, workflow_id, component, execution_type, status,
  parent_state_id, agent_id, action_id, tool_id, input, output, error, usage, version, created_at,
  updated_at
FROM tasks
ORDER BY rowid;

DROP TABLE tasks;
ALTER TABLE tasks_anew RENAME TO tasks;

CREATE INDEX tasks_by_creation ON tasks (created_at, task_exec_id);

-- What is left to do, in the order it was made.
CREATE INDEX tasks_by_status ON tasks (status, created_at, task_exec_id);

-- Children and trees.
CREATE INDEX tasks_by_parent ON tasks (parent_state_id, created_at, task_exec_id)
WHERE parent_state_id IS NOT NULL;

-- The latest execution of each task of a workflow, and all of them.
CREATE INDEX tasks_by_workflow ON tasks (workflow_exec_id, task_id, created_at, task_exec_id);

CREATE INDEX tasks_by_agent ON tasks (agent_id, created_at, task_exec_id)
WHERE agent_id IS NOT NULL;

CREATE INDEX tasks_by_tool ON tasks (tool_id, created_at, task_exec_id)
WHERE tool_id IS NOT NULL;

-- The foreign key finds the parent; that it is in the same workflow, and stays there, is for these.
CREATE TRIGGER tasks_parent_in_workflow BEFORE INSERT ON tasks
WHEN new.parent_state_id IS NOT NULL
BEGIN
  SELECT raise(ABORT, 'the parent is not in the workflow of the task')
  WHERE NOT EXISTS (
    SELECT 1
    FROM tasks
    WHERE task_exec_id = new.parent_state_id
      AND workflow_exec_id = new.workflow_exec_id
  );
END;

CREATE TRIGGER tasks_keep_their_place BEFORE UPDATE OF workflow_exec_id, parent_state_id ON tasks
BEGIN
  SELECT raise(ABORT, 'a task keeps its workflow and its parent');
END;
