-- A trigger may not write a table that its statement reads. So a task that is claimed has the token
-- of its lease, which goes when its status is no longer RUNNING; a lease with another token is over.

-- fragment: lease_of_task
leases.task_exec_id = tasks.task_exec_id
  AND leases.token = tasks.lease_token

-- fragment: has_token
lease_token = :token

-- fragment: return_lease
  AND EXISTS (
    SELECT 1
    FROM {schema}.tasks
    WHERE task_exec_id = :task_exec_id
      AND lease_token = :token
  )
;
SELECT expires_at
FROM {schema}.leases
WHERE task_exec_id = :task_exec_id

-- fragment: due
coalesce(due_at, created_at)

-- name: claim_tasks! :many
-- The leases are joined, since what a subquery reads is not locked: a renewal may just have moved
-- their ends.
INSERT INTO {schema}.leases (task_exec_id, workflow_exec_id, queue, worker, token, expires_at)
SELECT task_exec_id, workflow_exec_id, tasks.queue, :worker, :token, :expires_at
FROM {schema}.tasks
LEFT JOIN {schema}.leases AS last USING (workflow_exec_id, task_exec_id)
WHERE tasks.queue {in_queues}
  AND (
    (status = 'PENDING' AND {due} <= :now)
    OR (status = 'RUNNING' AND last.token = tasks.lease_token AND last.expires_at <= :now)
  )
  AND {matches_filter}
  AND true --? one
ORDER BY priority DESC, {due}, created_at, task_exec_id
LIMIT :limit
FOR UPDATE SKIP LOCKED
ON DUPLICATE KEY UPDATE
  queue = VALUES(queue),
  worker = VALUES(worker),
  token = VALUES(token),
  expires_at = VALUES(expires_at)
;
UPDATE {schema}.tasks
SET status = 'RUNNING',
    lease_token = :token,
    attempt = attempt + 1,
    version = version + 1,
    updated_at = greatest(updated_at, :now)
WHERE task_exec_id IN (SELECT task_exec_id FROM {schema}.leases WHERE token = :token)
;
SELECT {task_columns}
FROM {schema}.tasks
WHERE lease_token = :token

-- name: next_due :one
-- A lease that ends makes its task due.
SELECT min(due)
FROM (
  SELECT min({due}) AS due
  FROM {schema}.tasks
  WHERE status = 'PENDING'
    AND queue {in_queues}
    AND {is_there}
  UNION ALL
  SELECT min(leases.expires_at)
  FROM {schema}.leases
  JOIN {schema}.tasks ON {lease_of_task}
  WHERE tasks.queue {in_queues}
    AND tasks.{is_there}
) AS found

-- name: queue_stats :many
SELECT
  queue,
  CAST(sum(status = 'PENDING' AND due <= :now) AS INTEGER),
  CAST(sum(status = 'PENDING' AND due > :now) AS INTEGER),
  CAST(sum(status = 'RUNNING') AS INTEGER),
  CAST(sum(status = 'RUNNING' AND expires_at <= :now) AS INTEGER),
  min(CASE WHEN status = 'PENDING' AND due <= :now THEN due END)
FROM (
  SELECT tasks.queue, tasks.status, {due} AS due, leases.expires_at
  FROM {schema}.tasks
  LEFT JOIN {schema}.leases ON {lease_of_task}
  WHERE (tasks.status = 'PENDING' OR leases.token IS NOT NULL)
    AND tasks.{is_there}
) AS found
GROUP BY queue
ORDER BY queue

-- name: cancel_tasks! :none
UPDATE {schema}.tasks
SET status = 'CANCELED',
    error = :error,
    version = version + 1,
    updated_at = greatest(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND status {not_in_ended_statuses}
  AND task_exec_id IN ( --? root
    WITH RECURSIVE tree (task_exec_id) AS ( --? root
      SELECT task_exec_id FROM {schema}.tasks WHERE task_exec_id = :root --? root
      UNION ALL --? root
      SELECT child.task_exec_id --? root
      FROM tree --? root
      JOIN {schema}.tasks AS child ON child.parent_state_id = tree.task_exec_id --? root
    ) --? root
    SELECT task_exec_id FROM tree --? root
  ) --? root
  AND task_exec_id = :task_exec_id --? task_exec_id
