-- Workers claim tasks from queues. The order of a claim is that of an index, within a priority.
ALTER TABLE {schema}.tasks
ADD COLUMN queue text COLLATE "C" NOT NULL DEFAULT 'default',
ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
ADD COLUMN due_at timestamptz,
ADD COLUMN attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0);

CREATE INDEX tasks_to_claim ON {schema}.tasks
(queue, priority, (coalesce(due_at, created_at)), created_at, task_exec_id)
WHERE status = 'PENDING';

-- A table of their own: a worker that renews its lease leaves the task as it is.
CREATE TABLE {schema}.leases (
  workflow_exec_id text COLLATE "C" NOT NULL,
  task_exec_id text COLLATE "C" NOT NULL,
  queue text COLLATE "C" NOT NULL,
  worker text COLLATE "C" NOT NULL,
  token text COLLATE "C" NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (workflow_exec_id, task_exec_id)
);

CREATE INDEX leases_by_end ON {schema}.leases (queue, expires_at);

-- A lease is there only while its task is RUNNING, whatever ends that.
CREATE FUNCTION {schema}.engine_store_end_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM {schema}.leases
  WHERE workflow_exec_id = OLD.workflow_exec_id AND task_exec_id = OLD.task_exec_id;
  RETURN NULL;
END
$$;

CREATE TRIGGER leases_end_with_their_run AFTER UPDATE ON {schema}.tasks
FOR EACH ROW WHEN (OLD.status = 'RUNNING' AND NEW.status <> 'RUNNING')
EXECUTE FUNCTION {schema}.engine_store_end_lease();

CREATE TRIGGER leases_end_with_their_task AFTER DELETE ON {schema}.tasks
FOR EACH ROW WHEN (OLD.status = 'RUNNING')
EXECUTE FUNCTION {schema}.engine_store_end_lease();

-- A task that is restored while it was claimed can be claimed again at once.
CREATE FUNCTION {schema}.engine_store_add_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO {schema}.leases (workflow_exec_id, task_exec_id, queue, worker, token, expires_at)
  VALUES (
    NEW.workflow_exec_id, NEW.task_exec_id, NEW.queue, 'restored', NEW.task_exec_id, NEW.updated_at
  );
  RETURN NULL;
END
$$;

CREATE TRIGGER leases_of_restored_tasks AFTER INSERT ON {schema}.tasks
FOR EACH ROW WHEN (NEW.status = 'RUNNING' AND NEW.attempt > 0)
EXECUTE FUNCTION {schema}.engine_store_add_lease();

CREATE FUNCTION {schema}.engine_store_move_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE {schema}.leases SET queue = NEW.queue
  WHERE workflow_exec_id = OLD.workflow_exec_id AND task_exec_id = OLD.task_exec_id;
  RETURN NULL;
END
$$;

CREATE TRIGGER leases_keep_their_queue AFTER UPDATE ON {schema}.tasks
FOR EACH ROW WHEN (NEW.status = 'RUNNING' AND OLD.queue <> NEW.queue)
EXECUTE FUNCTION {schema}.engine_store_move_lease();
