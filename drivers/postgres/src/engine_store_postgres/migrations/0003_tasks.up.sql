-- The key begins with the workflow, and so does each reference: the rows of one workflow lie
-- together, and the table can be sharded by it. An index has at most two ids, because one of 255
-- characters may take 1,020 bytes and an entry of an index has room for 2,704.
CREATE TABLE {schema}.tasks (
  workflow_exec_id text COLLATE "C" NOT NULL
  REFERENCES {schema}.workflows (workflow_exec_id) ON DELETE CASCADE,
  task_exec_id text COLLATE "C" NOT NULL,
  task_id text COLLATE "C" NOT NULL,
  workflow_id text COLLATE "C" NOT NULL,
  component text NOT NULL CHECK (component IN ('workflow', 'task', 'agent', 'tool', 'log')),
  execution_type text NOT NULL CHECK (
    execution_type IN (
      'basic', 'router', 'parallel', 'collection', 'composite', 'wait', 'signal', 'aggregate',
      'memory'
    )
  ),
  status text COLLATE "C" NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  parent_state_id text COLLATE "C",
  agent_id text COLLATE "C",
  action_id text COLLATE "C",
  tool_id text COLLATE "C",
  input json,
  output json,
  error json,
  usage json NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (workflow_exec_id, task_exec_id),
  CHECK (parent_state_id <> task_exec_id),
  -- A parent is in the same workflow. No cascade: tasks go with their workflow, all at once.
  FOREIGN KEY (workflow_exec_id, parent_state_id)
  REFERENCES {schema}.tasks (workflow_exec_id, task_exec_id)
);

-- An id finds its task without the workflow, and is the only one in the store.
CREATE UNIQUE INDEX tasks_by_id ON {schema}.tasks (task_exec_id);

CREATE INDEX tasks_by_creation ON {schema}.tasks (created_at, task_exec_id);

-- What is left to do, in the order it was made.
CREATE INDEX tasks_by_status ON {schema}.tasks (status, created_at, task_exec_id);

-- Children and trees, and the foreign key to the parent when tasks are deleted. With the workflow,
-- which those ask for too: else the whole workflow would be read for each parent.
CREATE INDEX tasks_by_parent ON {schema}.tasks (parent_state_id, created_at, workflow_exec_id)
WHERE parent_state_id IS NOT NULL;

-- The latest execution of each task of a workflow.
CREATE INDEX tasks_by_workflow ON {schema}.tasks (workflow_exec_id, task_id, created_at);

CREATE INDEX tasks_by_agent ON {schema}.tasks (agent_id, created_at, task_exec_id)
WHERE agent_id IS NOT NULL;

CREATE INDEX tasks_by_tool ON {schema}.tasks (tool_id, created_at, task_exec_id)
WHERE tool_id IS NOT NULL;
