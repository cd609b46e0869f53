-- What SQL has several words for; a driver overrides those of its database.

-- fragment: greatest
greatest

-- fragment: is_same_as
IS NOT DISTINCT FROM

-- fragment: for_update
FOR UPDATE

-- fragment: for_no_key_update
{for_update}

-- fragment: for_update_skip_locked
FOR UPDATE SKIP LOCKED

-- fragment: for_update_of_tasks
{for_no_key_update}

-- fragment: in_statuses
IN :statuses

-- fragment: in_expected_statuses
IN :expected_statuses

-- fragment: not_in_ended_statuses
NOT IN :ended_statuses

-- fragment: in_keys
IN :keys

-- fragment: in_kinds
IN :kinds

-- fragment: in_queues
IN :queues

-- fragment: in_task_exec_ids
IN :task_exec_ids

-- fragment: in_workflow_exec_ids
IN :workflow_exec_ids

-- fragment: workflows_by_id
workflows

-- fragment: tasks_by_id
tasks

-- fragment: few_deleted
-- The deleted workflows that a batch is about, or the one of them.
SELECT workflow_exec_id
FROM {schema}.workflows
WHERE is_deleted
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
ORDER BY workflow_exec_id
LIMIT 20

-- fragment: is_there
-- A task of a deleted workflow is gone for everyone but those who remove it.
workflow_exec_id NOT IN (SELECT workflow_exec_id FROM {schema}.workflows WHERE is_deleted)
