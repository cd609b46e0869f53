-- name: list_workflows :many
-- Newest first; a page starts behind (:before_created_at, :before_id). Each status gives a page of
-- its own, as in `list_tasks`.
SELECT found.* --? statuses
FROM (SELECT DISTINCT unnest(:statuses::text[])) AS wanted (status) --? statuses
CROSS JOIN LATERAL ( --? statuses
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE NOT is_deleted
  AND workflow_id = :workflow_id --? workflow_id
  AND workflows.status = wanted.status --? statuses
  AND workflow_exec_id {in_workflow_exec_ids} --? workflow_exec_ids
  AND created_at >= :created_from --? created_from
  AND created_at < :created_before --? created_before
  AND (created_at, workflow_exec_id) < (:before_created_at, :before_id) --? before_id
ORDER BY created_at DESC, workflow_exec_id DESC
LIMIT :limit
) AS found --? statuses
ORDER BY created_at DESC, workflow_exec_id DESC --? statuses
LIMIT :limit --? statuses

-- name: lock_purgeable :many
-- The next batch, longest untouched first, without what somebody else is at: another purge has it.
-- Each status gives a batch of its own, in the order of its index.
SELECT found.workflow_exec_id
FROM (SELECT DISTINCT unnest(:statuses::text[])) AS wanted (status)
CROSS JOIN LATERAL (
  SELECT workflow_exec_id, updated_at
  FROM {schema}.workflows
  WHERE workflows.status = wanted.status
    AND updated_at < :older_than
    AND NOT is_deleted
  ORDER BY updated_at, workflow_exec_id
  LIMIT :limit
  FOR UPDATE SKIP LOCKED
) AS found
ORDER BY found.updated_at, found.workflow_exec_id
LIMIT :limit

-- name: remove_tasks! :many
-- Of a few workflows at a time, so that fewer rows than the limit say that one is done.
DELETE FROM {schema}.tasks
WHERE ctid = ANY (
  ARRAY(
    SELECT ctid
    FROM {schema}.tasks
    WHERE workflow_exec_id = ANY (
      ARRAY(
{few_deleted}
      )
    )
    LIMIT :limit
  )
)
RETURNING task_exec_id
