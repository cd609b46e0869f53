-- Changes of a status are events, if the session has the setting `engine_store.history`. The workflow
-- is held meanwhile: its next event has the next number.
CREATE FUNCTION {schema}.engine_store_add_status(
  of_workflow text, of_task text, change json, changed_at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM {schema}.workflows WHERE workflow_exec_id = of_workflow FOR NO KEY UPDATE;
  INSERT INTO {schema}.events (workflow_exec_id, number, kind, data, task_exec_id, created_at)
  SELECT of_workflow, coalesce(max(number), 0) + 1, 'status', change, of_task, changed_at
  FROM {schema}.events
  WHERE workflow_exec_id = of_workflow;
END
$$;

CREATE FUNCTION {schema}.engine_store_status_of_workflow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM {schema}.engine_store_add_status(
    NEW.workflow_exec_id,
    NULL,
    json_build_object(
      'from', OLD.status,
      'to', NEW.status,
      'error', CASE WHEN NEW.status <> 'RUNNING' THEN NEW.error END
    ),
    NEW.updated_at
  );
  RETURN NULL;
END
$$;

CREATE FUNCTION {schema}.engine_store_status_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM {schema}.engine_store_add_status(
    NEW.workflow_exec_id,
    NEW.task_exec_id,
    json_build_object(
      'from', OLD.status,
      'to', NEW.status,
      'attempt', NEW.attempt,
      'error', CASE WHEN NEW.status <> 'RUNNING' THEN NEW.error END
    ),
    NEW.updated_at
  );
  RETURN NULL;
END
$$;

CREATE TRIGGER history_of_workflows AFTER UPDATE OF status ON {schema}.workflows
FOR EACH ROW
WHEN (OLD.status <> NEW.status AND current_setting('engine_store.history', true) = 'on')
EXECUTE FUNCTION {schema}.engine_store_status_of_workflow();

CREATE TRIGGER history_of_tasks AFTER UPDATE OF status ON {schema}.tasks
FOR EACH ROW
WHEN (OLD.status <> NEW.status AND current_setting('engine_store.history', true) = 'on')
EXECUTE FUNCTION {schema}.engine_store_status_of_task();
