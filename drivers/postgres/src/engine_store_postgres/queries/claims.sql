-- fragment: due
coalesce(due_at, created_at)

-- fragment: levels
-- Each priority that the queue has PENDING tasks of, highest first: one look into the index each.
WITH RECURSIVE levels (priority) AS (
  SELECT max(priority)
  FROM {schema}.tasks
  WHERE status = 'PENDING'
    AND queue = wanted.queue
  UNION ALL
  SELECT (
    SELECT max(priority)
    FROM {schema}.tasks
    WHERE status = 'PENDING'
      AND queue = wanted.queue
      AND tasks.priority < levels.priority
  )
  FROM levels
  WHERE levels.priority IS NOT NULL
)
SELECT priority
FROM levels
WHERE priority IS NOT NULL

-- name: claim_tasks! :many
-- Rows are locked as they are read, level by level, so that of one queue no more are locked than are
-- claimed. Leases that have ended are few: they are sorted, and each is locked with its task, and
-- looked at once more, as it may have been renewed. OFFSET 0 keeps the planner from reading leases or
-- tasks that are not asked for.
WITH wanted AS (
  -- Most often one queue. Of an array the planner expects ten, so that a plan for all calls would seem
  -- dear; a condition that it takes for a rare one tells it.
  SELECT DISTINCT queue
  FROM unnest(:queues::text[]) AS named (queue)
  WHERE queue || '' = '' || queue
),
ready AS (
  SELECT found.*
  FROM wanted
  CROSS JOIN LATERAL (
    SELECT *
    FROM (
      SELECT one.*
      FROM (
{levels}
      ) AS level
      CROSS JOIN LATERAL (
        SELECT workflow_exec_id, task_exec_id, tasks.queue, tasks.priority, {due} AS due, created_at
        FROM {schema}.tasks
        WHERE status = 'PENDING'
          AND tasks.queue = wanted.queue
          AND tasks.priority = level.priority
          AND {due} <= :now
          AND {matches_filter}
        ORDER BY {due}, created_at, task_exec_id
        LIMIT :limit
        FOR NO KEY UPDATE SKIP LOCKED
      ) AS one
      LIMIT :limit
    ) AS several
    LIMIT 1 --? one
  ) AS found
),
expired AS (
  SELECT ended.*
  FROM (
    SELECT found.*
    FROM wanted
    JOIN {schema}.leases ON leases.queue = wanted.queue
    CROSS JOIN LATERAL (
      SELECT workflow_exec_id, task_exec_id, tasks.queue, priority, {due} AS due, created_at
      FROM {schema}.tasks
      WHERE {lease_of_task}
        AND {is_running}
        AND {matches_filter}
      OFFSET 0
    ) AS found
    WHERE leases.expires_at <= :now
    ORDER BY priority DESC, due, created_at, task_exec_id
    OFFSET 0
  ) AS ended
  CROSS JOIN LATERAL (
    SELECT
    FROM {schema}.tasks
    JOIN {schema}.leases ON {lease_of_task}
    WHERE tasks.workflow_exec_id = ended.workflow_exec_id
      AND tasks.task_exec_id = ended.task_exec_id
      AND {is_running}
      AND leases.expires_at <= :now
    FOR NO KEY UPDATE SKIP LOCKED
  ) AS held
  LIMIT :limit
),
claimed AS MATERIALIZED (
  SELECT *
  FROM (SELECT * FROM ready UNION ALL SELECT * FROM expired) AS found
  ORDER BY priority DESC, due, created_at, task_exec_id
  LIMIT :limit
),
leased AS (
  INSERT INTO {schema}.leases
  (workflow_exec_id, task_exec_id, queue, worker, token, expires_at)
  SELECT workflow_exec_id, task_exec_id, queue, :worker, :token, :expires_at::timestamptz
  FROM claimed
  ON CONFLICT (workflow_exec_id, task_exec_id) DO UPDATE
  SET queue = excluded.queue,
      worker = excluded.worker,
      token = excluded.token,
      expires_at = excluded.expires_at
)
UPDATE {schema}.tasks
SET status = 'RUNNING',
    attempt = attempt + 1,
    version = version + 1,
    updated_at = greatest(updated_at, :now::timestamptz)
FROM claimed
WHERE tasks.workflow_exec_id = claimed.workflow_exec_id
  AND tasks.task_exec_id = claimed.task_exec_id
RETURNING {columns_of_tasks}

-- name: next_due :one
-- A lease that ends makes its task due.
SELECT min(due)
FROM (
  SELECT (
    SELECT min({due})
    FROM {schema}.tasks
    WHERE status = 'PENDING'
      AND tasks.queue = wanted.queue
      AND tasks.priority = level.priority
  ) AS due
  FROM unnest(:queues::text[]) AS wanted (queue)
  CROSS JOIN LATERAL (
{levels}
  ) AS level
  UNION ALL
  SELECT (SELECT min(expires_at) FROM {schema}.leases WHERE leases.queue = wanted.queue)
  FROM unnest(:queues::text[]) AS wanted (queue)
) AS found

-- name: queue_stats :many
SELECT queue, sum(ready)::bigint, sum(delayed)::bigint, sum(leased)::bigint, sum(expired)::bigint,
  min(since)
FROM (
  SELECT
    queue,
    count(*) FILTER (WHERE {due} <= :now) AS ready,
    count(*) FILTER (WHERE {due} > :now) AS delayed,
    0 AS leased,
    0 AS expired,
    min({due}) FILTER (WHERE {due} <= :now) AS since
  FROM {schema}.tasks
  WHERE status = 'PENDING'
    AND {is_there}
  GROUP BY queue
  UNION ALL
  SELECT queue, 0, 0, count(*), count(*) FILTER (WHERE expires_at <= :now), NULL
  FROM {schema}.leases
  WHERE {is_there}
  GROUP BY queue
) AS counted
GROUP BY queue
ORDER BY queue

-- name: cancel_tasks! :none
WITH RECURSIVE tree (task_exec_id) AS ( --? root
  SELECT :root::text COLLATE "C" --? root
  UNION ALL --? root
  SELECT child.task_exec_id --? root
  FROM tree --? root
  JOIN {schema}.tasks AS child --? root
    ON child.workflow_exec_id = :workflow_exec_id --? root
    AND child.parent_state_id = tree.task_exec_id --? root
) --? root
UPDATE {schema}.tasks
SET status = 'CANCELED',
    error = :error,
    version = version + 1,
    updated_at = greatest(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND status <> ALL (:ended_statuses::text[])
  AND task_exec_id IN (SELECT task_exec_id FROM tree) --? root
  AND task_exec_id = :task_exec_id --? task_exec_id
