-- fragment: lease_of_task
leases.workflow_exec_id = tasks.workflow_exec_id
  AND leases.task_exec_id = tasks.task_exec_id

-- fragment: has_token
EXISTS (
  SELECT 1
  FROM {schema}.leases
  WHERE leases.workflow_exec_id = :workflow_exec_id
    AND leases.task_exec_id = :task_exec_id
    AND leases.token = :token
)

-- fragment: return_lease
RETURNING expires_at

-- name: claim_tasks! :many
-- Takes up to `limit` tasks that are PENDING and due at `now`, or whose lease has ended then: each
-- becomes RUNNING, with version + 1, attempt + 1 and a lease. The highest priority first, then by
-- due_at, or created_at if that is null, then created_at, then task_exec_id. Rows that others hold
-- are passed over. `one` is given if the limit is 1: then the text may say so, for a plan that is made
-- once for all calls.
-- takes: queues, worker, token, now, expires_at, limit, one?, workflow_exec_id?, statuses?,
-- task_exec_ids?, task_id?, parent_state_id?, agent_id?, action_id?, tool_id?, execution_type?
-- gives: {task_columns}

-- fragment: is_running
-- Of a task that is found by its key.
status = 'RUNNING'

-- fragment: is_claimed
task_exec_id = :task_exec_id
  AND workflow_exec_id = :workflow_exec_id
  AND {is_there}
  AND {is_running}
  AND attempt = :attempt
  AND {has_token}

-- fragment: who_has_task
SELECT tasks.status, tasks.attempt, tasks."usage", leases.worker, leases.token
FROM {schema}.tasks
LEFT JOIN {schema}.leases ON {lease_of_task}
WHERE tasks.task_exec_id = :task_exec_id
  AND tasks.workflow_exec_id = :workflow_exec_id
  AND tasks.{is_there}

-- name: renew_lease! :one
-- Sets the end of a lease. No row: another claim has the task, or none has.
UPDATE {schema}.leases
SET expires_at = :expires_at
WHERE workflow_exec_id = :workflow_exec_id
  AND task_exec_id = :task_exec_id
  AND token = :token
{return_lease}

-- name: get_claim :one
-- Reads who has a task. No row: the task is missing.
-- gives: status, attempt, usage, worker, token
{who_has_task}

-- name: lock_claim :one
-- Reads who has a task, and holds it. No row: the task is missing.
-- gives: status, attempt, usage, worker, token
{who_has_task}
{for_update_of_tasks}

-- name: finish_task! :one
-- Ends a task that is claimed; version + 1. No row: another claim has the task, or none has.
UPDATE {schema}.{tasks_by_id}
SET status = :status,
    output = :output,
    error = :error,
    "usage" = :usage, --? usage
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE {is_claimed}
{return_task}

-- name: release_task! :one
-- Gives a claimed task back to its queue; version + 1. No row: another claim has the task, or none
-- has.
UPDATE {schema}.{tasks_by_id}
SET status = 'PENDING',
    due_at = :due_at,
    error = :error,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE {is_claimed}
{return_task}

-- name: list_expired :many
-- Lists tasks whose lease has ended at `now`, longest ago first.
-- gives: {task_columns}, worker, expires_at, token
SELECT {columns_of_tasks}, leases.worker, leases.expires_at, leases.token
FROM {schema}.leases
JOIN {schema}.tasks ON {lease_of_task}
WHERE leases.queue {in_queues}
  AND leases.expires_at <= :now
  AND tasks.{is_there}
ORDER BY leases.expires_at, tasks.task_exec_id
LIMIT :limit

-- name: next_due :one
-- Finds when the next task of the queues can be claimed; null: there is none that time makes so.
-- takes: queues
-- gives: due_at

-- name: queue_stats :many
-- Counts the tasks of each queue that are ready at `now`, delayed, leased and expired, and finds
-- when the first of the ready ones was due. Expired ones are counted among the leased.
-- takes: now
-- gives: queue, ready, delayed, leased, expired, ready_since

-- name: lock_workflow_of_task :one
-- Holds the workflow of a task, also against a new task of it. No row: the task is missing.
SELECT workflow_exec_id
FROM {schema}.workflows
WHERE workflow_exec_id = (
  SELECT workflow_exec_id FROM {schema}.tasks WHERE task_exec_id = :task_exec_id
)
  AND NOT is_deleted
{for_update}

-- name: cancel_tasks! :none
-- Ends every task of a workflow that has not ended, or a task and those below it; version + 1.
-- takes: workflow_exec_id, root?, task_exec_id?, error, now, ended_statuses

-- name: cancel_workflow! :none
-- Ends a workflow that has not ended; version + 1.
UPDATE {schema}.workflows
SET status = 'CANCELED',
    error = :error,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND status {not_in_ended_statuses}
