-- fragment: for_no_key_update
FOR NO KEY UPDATE

-- fragment: in_statuses
= ANY (:statuses::text[])

-- fragment: in_expected_statuses
= ANY (:expected_statuses::text[])

-- fragment: in_task_exec_ids
= ANY (:task_exec_ids::text[])

-- fragment: in_workflow_exec_ids
= ANY (:workflow_exec_ids::text[])
