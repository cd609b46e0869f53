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
  queue VARCHAR(255) NOT NULL,
  priority SMALLINT NOT NULL,
  due_at DATETIME(6),
  attempt INTEGER NOT NULL,
  lease_token VARCHAR(255),
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
  KEY tasks_to_claim (status, queue, priority),
  KEY tasks_by_lease (lease_token),
  KEY tasks_by_agent (agent_id, created_at),
  KEY tasks_by_tool (tool_id, created_at),
  CONSTRAINT tasks_not_their_own_parent CHECK (parent_state_id <> task_exec_id),
  CONSTRAINT tasks_of_workflow
  FOREIGN KEY (workflow_exec_id) REFERENCES workflows (workflow_exec_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;

-- A worker that renews its lease leaves the task as it is.
CREATE TABLE IF NOT EXISTS {schema}.leases (
  task_exec_id VARCHAR(255) NOT NULL PRIMARY KEY,
  workflow_exec_id VARCHAR(255) NOT NULL,
  queue VARCHAR(255) NOT NULL,
  worker VARCHAR(255) NOT NULL,
  token VARCHAR(255) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  KEY leases_by_token (token),
  KEY leases_by_end (queue, expires_at),
  CONSTRAINT leases_of_task
  FOREIGN KEY (task_exec_id) REFERENCES tasks (task_exec_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_nopad_bin;

CREATE TRIGGER IF NOT EXISTS {schema}.tasks_end_their_lease BEFORE UPDATE ON {schema}.tasks
FOR EACH ROW SET NEW.lease_token = IF(NEW.status = 'RUNNING', NEW.lease_token, NULL);

CREATE TRIGGER IF NOT EXISTS {schema}.tasks_have_their_lease BEFORE INSERT ON {schema}.tasks
FOR EACH ROW SET NEW.lease_token = IF(
  NEW.status = 'RUNNING' AND NEW.attempt > 0, NEW.task_exec_id, NULL
);

-- A task that is restored while it was claimed can be claimed again at once. The text is kept as it
-- is, so it has no schema.
CREATE TRIGGER IF NOT EXISTS {schema}.leases_of_restored_tasks AFTER INSERT ON {schema}.tasks
FOR EACH ROW
INSERT INTO leases (task_exec_id, workflow_exec_id, queue, worker, token, expires_at)
SELECT
  NEW.task_exec_id, NEW.workflow_exec_id, NEW.queue, 'restored', NEW.task_exec_id, NEW.updated_at
WHERE NEW.lease_token IS NOT NULL;
