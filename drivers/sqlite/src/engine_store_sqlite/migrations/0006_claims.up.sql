-- Workers claim tasks from queues. The order of a claim is that of an index, within a priority.
ALTER TABLE tasks ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0
CHECK (priority BETWEEN -100 AND 100);
ALTER TABLE tasks ADD COLUMN due_at TEXT CHECK (length(due_at) = 32);
ALTER TABLE tasks ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0);

CREATE INDEX tasks_to_claim
ON tasks (queue, priority, coalesce(due_at, created_at), created_at, task_exec_id)
WHERE status = 'PENDING';

-- A table of their own: a worker that renews its lease leaves the task as it is.
CREATE TABLE leases (
  task_exec_id TEXT NOT NULL PRIMARY KEY,
  workflow_exec_id TEXT NOT NULL,
  queue TEXT NOT NULL,
  worker TEXT NOT NULL,
  token TEXT NOT NULL,
  expires_at TEXT NOT NULL CHECK (length(expires_at) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX leases_by_end ON leases (queue, expires_at, task_exec_id);

-- What one claim took.
CREATE INDEX leases_by_token ON leases (token, task_exec_id);

-- A lease is there only while its task is RUNNING, whatever ends that.
CREATE TRIGGER leases_end_with_their_run AFTER UPDATE OF status ON tasks
WHEN old.status = 'RUNNING' AND new.status <> 'RUNNING'
BEGIN
  DELETE FROM leases WHERE task_exec_id = old.task_exec_id;
END;

CREATE TRIGGER leases_end_with_their_task AFTER DELETE ON tasks
WHEN old.status = 'RUNNING'
BEGIN
  DELETE FROM leases WHERE task_exec_id = old.task_exec_id;
END;

-- A task that is restored while it was claimed can be claimed again at once.
CREATE TRIGGER leases_of_restored_tasks AFTER INSERT ON tasks
WHEN new.status = 'RUNNING' AND new.attempt > 0
BEGIN
  INSERT INTO leases (task_exec_id, workflow_exec_id, queue, worker, token, expires_at)
  VALUES (
    new.task_exec_id, new.workflow_exec_id, new.queue, 'restored', new.task_exec_id, new.updated_at
  );
END;

CREATE TRIGGER leases_keep_their_queue AFTER UPDATE OF queue ON tasks
WHEN old.status = 'RUNNING' AND old.queue <> new.queue
BEGIN
  UPDATE leases SET queue = new.queue WHERE task_exec_id = old.task_exec_id;
END;
