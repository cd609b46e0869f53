-- No foreign key to the parent: InnoDB checks row by row, so that a workflow could not be deleted,
-- and its cascades end at 15 levels. Statements look for the parent, and tasks go with their
-- workflow alone, all at once.
CREATE TABLE IF NOT EXISTS {schema}.tasks (
  workflow_exec_id VARCHAR(255) NOT NULL,
  task_exec_id VARCHAR(255) NOT NULL PRIMARY KEY,
  task_id VARCHAR(255) NOT NULL,
  workflow_id VARCHAR(255) NOT NULL,
  component VARCHAR(16) NOT NULL CHECK (
    component IN ('workflow', 'task', 'agent', 'tool', 'log')
  ),
  execution_type VARCHAR(16) NOT NULL CHECK (
    execution_type IN (
      'basic', 'router', 'parallel', 'collection', 'composite', 'wait', 'signal', 'aggregate',
      'memory'
    )
  ),
  status VARCHAR(16) NOT NULL CHECK (
    status IN (
      'PENDING', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELED', 'WAITING', 'PAUSED'
    )
  ),
  parent_state_id VARCHAR(255),
  agent_id VARCHAR(255),
  action_id VARCHAR(255),
  tool_id VARCHAR(255),
  input LONGTEXT,
  output LONGTEXT,
  error LONGTEXT,
  "usage" LONGTEXT NOT NULL,
  version BIGINT NOT NULL CHECK (version > 0),
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  KEY tasks_by_creation (created_at),
  KEY tasks_by_status (status, created_at),
  KEY tasks_by_parent (parent_state_id, created_at),
  KEY tasks_by_workflow (workflow_exec_id, task_id, created_at),
  KEY tasks_by_agent (agent_id, created_at),
  KEY tasks_by_tool (tool_id, created_at),
  CONSTRAINT tasks_not_their_own_parent CHECK (parent_state_id <> task_exec_id),
  CONSTRAINT tasks_of_workflow
  FOREIGN KEY (workflow_exec_id) REFERENCES workflows (workflow_exec_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;
