-- fragment: for_no_key_update
FOR NO KEY UPDATE

-- fragment: for_update_of_tasks
FOR NO KEY UPDATE OF tasks

-- fragment: in_statuses
= ANY (:statuses::text[])

-- fragment: in_expected_statuses
= ANY (:expected_statuses::text[])

-- fragment: not_in_ended_statuses
<> ALL (:ended_statuses::text[])

-- fragment: in_keys
= ANY (:keys::text[])

-- fragment: in_kinds
= ANY (:kinds::text[])

-- fragment: in_queues
= ANY (:queues::text[])

-- fragment: in_task_exec_ids
= ANY (:task_exec_ids::text[])

-- fragment: in_workflow_exec_ids
= ANY (:workflow_exec_ids::text[])

-- fragment: is_there
-- An array, looked up once: an anti-join would give up the order of an index. Of `|| ''` the planner has
-- no statistics: if most tasks are of one workflow it would expect few others, and sort them all.
workflow_exec_id || '' <> ALL (
  ARRAY(SELECT workflow_exec_id FROM {schema}.workflows WHERE is_deleted)
)

-- fragment: is_running
-- Of a task that is found by its key: not by an index of all that run.
coalesce(status, '') = 'RUNNING'
