-- fragment: is_same_as
<=>

-- fragment: in_statuses
IN :statuses

-- fragment: in_expected_statuses
IN :expected_statuses

-- fragment: in_task_exec_ids
IN :task_exec_ids

-- fragment: in_workflow_exec_ids
IN :workflow_exec_ids
