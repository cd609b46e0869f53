-- fragment: due
coalesce(due_at, created_at)

-- fragment: levels
-- Each priority of each queue that has PENDING tasks, found by one look into the index each.
levels (queue, priority) AS (
  SELECT
    value,
    (SELECT max(priority) FROM {schema}.tasks WHERE status = 'PENDING' AND queue = value)
  FROM (SELECT DISTINCT value FROM json_each(:queues))
  UNION ALL
  SELECT
    queue,
    (
      SELECT max(priority)
      FROM {schema}.tasks
      WHERE status = 'PENDING'
        AND tasks.queue = levels.queue
        AND tasks.priority < levels.priority
    )
  FROM levels
  WHERE priority IS NOT NULL
)

-- name: claim_tasks! :many
-- Of each level the first task, and after each task the next one of its level: the recursion takes
-- the first of them all each time, so that no more are read than are claimed. Leases that have
-- ended are few.
INSERT INTO {schema}.leases (task_exec_id, workflow_exec_id, queue, worker, token, expires_at)
WITH RECURSIVE
{levels},
found (row_id, queue, is_pending, priority, due, created_at, task_exec_id) AS (
  SELECT rowid, levels.queue, true, levels.priority, {due}, created_at, task_exec_id
  FROM levels
  JOIN {schema}.tasks ON tasks.rowid = (
    SELECT rowid
    FROM {schema}.tasks AS own
    WHERE own.status = 'PENDING'
      AND own.queue = levels.queue
      AND own.priority = levels.priority
      AND {due} <= :now
      AND {matches_filter}
    ORDER BY {due}, created_at, task_exec_id
    LIMIT 1
  )
  UNION ALL
  SELECT rowid, queue, false, priority, {due}, created_at, task_exec_id
  FROM {schema}.tasks
  WHERE task_exec_id IN (
    SELECT task_exec_id
    FROM {schema}.leases
    WHERE queue {in_queues}
      AND expires_at <= :now
  )
    AND {matches_filter}
  UNION ALL
  SELECT
    tasks.rowid, found.queue, true, found.priority, coalesce(tasks.due_at, tasks.created_at),
    tasks.created_at, tasks.task_exec_id
  FROM found
  JOIN {schema}.tasks ON tasks.rowid = (
    SELECT rowid
    FROM {schema}.tasks AS own
    WHERE own.status = 'PENDING'
      AND own.queue = found.queue
      AND own.priority = found.priority
      AND {due} >= found.due
      AND ({due}, own.created_at, own.task_exec_id) > (
        found.due, found.created_at, found.task_exec_id
      )
      AND {due} <= :now
      AND {matches_filter}
    ORDER BY {due}, own.created_at, own.task_exec_id
    LIMIT 1
  )
  WHERE found.is_pending
  ORDER BY 4 DESC, 5, 6, 7
  LIMIT :limit
)
SELECT tasks.task_exec_id, tasks.workflow_exec_id, tasks.queue, :worker, :token, :expires_at
FROM found
JOIN {schema}.tasks ON tasks.rowid = found.row_id
WHERE true
  AND true --? one
ON CONFLICT (task_exec_id) DO UPDATE
SET worker = excluded.worker,
    token = excluded.token,
    expires_at = excluded.expires_at
;
UPDATE {schema}.tasks
SET status = 'RUNNING',
    attempt = attempt + 1,
    version = version + 1,
    updated_at = max(updated_at, :now)
WHERE task_exec_id IN (SELECT task_exec_id FROM {schema}.leases WHERE token = :token)
RETURNING {task_columns}

-- name: next_due :one
-- A lease that ends makes its task due.
WITH RECURSIVE
{levels}
SELECT min(due)
FROM (
  SELECT (
    SELECT min({due})
    FROM {schema}.tasks
    WHERE status = 'PENDING'
      AND tasks.queue = levels.queue
      AND tasks.priority = levels.priority
  ) AS due
  FROM levels
  UNION ALL
  SELECT (SELECT min(expires_at) FROM {schema}.leases WHERE queue = value)
  FROM json_each(:queues)
)

-- name: queue_stats :many
SELECT queue, sum(ready), sum(delayed), sum(leased), sum(expired), min(since)
FROM (
  SELECT
    queue, {due} <= :now AS ready, {due} > :now AS delayed, 0 AS leased, 0 AS expired,
    CASE WHEN {due} <= :now THEN {due} END AS since
  FROM {schema}.tasks
  WHERE status = 'PENDING'
    AND {is_there}
  UNION ALL
  SELECT queue, 0, 0, 1, expires_at <= :now, NULL
  FROM {schema}.leases
  WHERE {is_there}
)
GROUP BY queue
ORDER BY queue

-- name: cancel_tasks! :none
WITH RECURSIVE tree (task_exec_id) AS ( --? root
  VALUES (:root) --? root
  UNION ALL --? root
  SELECT child.task_exec_id --? root
  FROM tree --? root
  JOIN {schema}.tasks AS child ON child.parent_state_id = tree.task_exec_id --? root
) --? root
UPDATE {schema}.tasks
SET status = 'CANCELED',
    error = :error,
    version = version + 1,
    updated_at = max(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND status {not_in_ended_statuses}
  AND task_exec_id IN (SELECT task_exec_id FROM tree) --? root
  AND task_exec_id = :task_exec_id --? task_exec_id
