-- fragment: greatest
max

-- fragment: is_same_as
IS

-- fragment: for_update
-- Nothing to add: the write lock of the transaction holds every row.

-- fragment: for_update_skip_locked
-- Nothing, as above.

-- fragment: in_statuses
IN (SELECT value FROM json_each(:statuses))

-- fragment: in_expected_statuses
IN (SELECT value FROM json_each(:expected_statuses))

-- fragment: not_in_ended_statuses
NOT IN (SELECT value FROM json_each(:ended_statuses))

-- fragment: in_keys
IN (SELECT value FROM json_each(:keys))

-- fragment: in_kinds
IN (SELECT value FROM json_each(:kinds))

-- fragment: in_queues
IN (SELECT value FROM json_each(:queues))

-- fragment: in_task_exec_ids
IN (SELECT value FROM json_each(:task_exec_ids))

-- fragment: in_workflow_exec_ids
IN (SELECT value FROM json_each(:workflow_exec_ids))
