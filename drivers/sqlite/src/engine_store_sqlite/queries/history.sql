-- name: record_workflows! :none
-- Makes changes of a status events, as long as the connection that writes is open.
CREATE TEMP TRIGGER IF NOT EXISTS history_of_workflows AFTER UPDATE OF status ON main.workflows
WHEN OLD.status <> NEW.status
BEGIN
  INSERT INTO events (workflow_exec_id, number, kind, data, created_at)
  SELECT
    NEW.workflow_exec_id,
    coalesce(max(number), 0) + 1,
    'status',
    json_object(
      'from', OLD.status,
      'to', NEW.status,
      'error', json(CASE WHEN NEW.status <> 'RUNNING' THEN NEW.error END)
    ),
    NEW.updated_at
  FROM events
  WHERE workflow_exec_id = NEW.workflow_exec_id;
END

-- name: record_tasks! :none
CREATE TEMP TRIGGER IF NOT EXISTS history_of_tasks AFTER UPDATE OF status ON main.tasks
WHEN OLD.status <> NEW.status
BEGIN
  INSERT INTO events (workflow_exec_id, number, kind, data, task_exec_id, created_at)
  SELECT
    NEW.workflow_exec_id,
    coalesce(max(number), 0) + 1,
    'status',
    json_object(
      'from', OLD.status,
      'to', NEW.status,
      'attempt', NEW.attempt,
      'error', json(CASE WHEN NEW.status <> 'RUNNING' THEN NEW.error END)
    ),
    NEW.task_exec_id,
    NEW.updated_at
  FROM events
  WHERE workflow_exec_id = NEW.workflow_exec_id;
END
