-- fragment: workflow_columns
workflow_exec_id, workflow_id, status, input, output, error, "usage", version, created_at, updated_at

-- fragment: workflow_values
:workflow_exec_id, :workflow_id, :status, :input, :output, :error, :usage

-- fragment: return_workflow
RETURNING {workflow_columns}

-- name: get_workflow :one
-- Reads a workflow. No row: it is missing.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted

-- name: get_status :one
-- Reads the status alone. No row: the workflow is missing.
SELECT status
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted

-- name: lock_workflow :one
-- Reads what is committed, and holds the row until the transaction ends; also against a new task
-- of the workflow. No row: it is missing.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
{for_update}

-- name: get_workflow_with_tasks :many
-- Reads the workflow, with null where only a task has a value, and the latest execution of each
-- task_id, in any order and of one snapshot. No row: it is missing.
-- gives: {task_columns}
SELECT
  workflow_exec_id, NULL, NULL, workflow_id, NULL, NULL, status, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, input, output, error, "usage", version, created_at, updated_at
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
UNION ALL
SELECT {task_columns}
FROM {schema}.tasks
WHERE workflow_exec_id = :workflow_exec_id
  AND {is_latest}

-- name: list_workflows :many
-- Lists workflows by created_at, workflow_exec_id, newest first, before (:before_created_at,
-- :before_id). The limit is one more than the page.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE NOT is_deleted
  AND workflow_id = :workflow_id --? workflow_id
  AND status {in_statuses} --? statuses
  AND workflow_exec_id {in_workflow_exec_ids} --? workflow_exec_ids
  AND created_at >= :created_from --? created_from
  AND created_at < :created_before --? created_before
  AND created_at <= :before_created_at --? before_id
  AND (created_at, workflow_exec_id) < (:before_created_at, :before_id) --? before_id
ORDER BY created_at DESC, workflow_exec_id DESC
LIMIT :limit

-- name: latest_workflow :one
-- Finds the newest execution; with `by_task` of those that have a task that fits. No row:
-- none fits.
SELECT {workflow_columns}
FROM {schema}.workflows
WHERE workflow_id = :workflow_id
  AND NOT is_deleted
  AND EXISTS ( --? by_task
    SELECT 1 --? by_task
    FROM {schema}.tasks --? by_task
    WHERE tasks.workflow_exec_id = workflows.workflow_exec_id --? by_task
      AND tasks.task_id = :task_id --? task_id
      AND tasks.agent_id = :agent_id --? agent_id
      AND tasks.tool_id = :tool_id --? tool_id
  ) --? by_task
ORDER BY created_at DESC, workflow_exec_id DESC
LIMIT 1

-- name: create_workflow! :one
-- Stores a new workflow, or a restored one. No row: the id is taken.
INSERT INTO {schema}.workflows ({workflow_columns})
VALUES ({workflow_values}, :version, :created_at, :updated_at)
ON CONFLICT DO NOTHING
RETURNING {workflow_columns}

-- name: update_workflow! :one
-- Compare-and-set: version + 1; updated_at never goes back. No row: it is missing, has another
-- version, or an immutable field differs.
UPDATE {schema}.{workflows_by_id}
SET status = :status,
    input = :input,
    output = :output,
    error = :error,
    "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND version = :version
  AND NOT is_deleted
  AND workflow_id = :workflow_id
  AND created_at = :created_at --? created_at
{return_workflow}

-- name: upsert_workflow! :one
-- Stores a workflow with version 1, or updates the one that is there. No row: an immutable field
-- differs from what is stored.
INSERT INTO {schema}.workflows AS stored ({workflow_columns})
VALUES ({workflow_values}, 1, :now, :now)
ON CONFLICT (workflow_exec_id) DO UPDATE
SET status = excluded.status,
    input = excluded.input,
    output = excluded.output,
    error = excluded.error,
    "usage" = excluded.usage,
    version = stored.version + 1,
    updated_at = {greatest}(stored.updated_at, excluded.updated_at)
WHERE stored.workflow_id = excluded.workflow_id
  AND NOT stored.is_deleted
  AND stored.created_at = :created_at --? created_at
RETURNING {workflow_columns}

-- name: set_workflow_status! :one
-- Sets the status if the guards hold; version + 1. No row: it is missing, or a guard does not
-- hold.
UPDATE {schema}.workflows
SET status = :status,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
  AND version = :expected_version --? expected_version
  AND status {in_expected_statuses} --? expected_statuses
{return_workflow}

-- name: lock_workflow_usage :one
-- Reads the usage that is committed, and holds the row. No row: it is missing.
SELECT "usage"
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
{for_no_key_update}

-- name: set_workflow_usage! :one
-- Stores the usage of a row that is held; version + 1.
UPDATE {schema}.workflows
SET "usage" = :usage,
    version = version + 1,
    updated_at = {greatest}(updated_at, :now)
WHERE workflow_exec_id = :workflow_exec_id
{return_workflow}

-- name: delete_small_workflow! :one
-- Deletes a workflow of fewer than `limit` tasks and events, and them, by the foreign keys. No row:
-- it is missing, or has as many.
DELETE FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
  AND (
    SELECT count(*)
    FROM (
      SELECT 1
      FROM {schema}.tasks
      WHERE workflow_exec_id = :workflow_exec_id
      UNION ALL
      SELECT 1
      FROM {schema}.events
      WHERE workflow_exec_id = :workflow_exec_id
      LIMIT :limit
    ) AS counted
  ) < :limit
RETURNING workflow_exec_id

-- name: lock_workflow_key :one
-- Holds the row, also against a new task of the workflow. No row: it is missing.
SELECT workflow_exec_id
FROM {schema}.workflows
WHERE workflow_exec_id = :workflow_exec_id
  AND NOT is_deleted
{for_update}

-- name: lock_purgeable :many
-- Holds the next batch, longest untouched first. It may leave out rows that others hold.
SELECT workflow_exec_id
FROM {schema}.workflows
WHERE status {in_statuses}
  AND updated_at < :older_than
  AND NOT is_deleted
ORDER BY updated_at, workflow_exec_id
LIMIT :limit
{for_update_skip_locked}

-- name: mark_deleted! :none
-- Hides workflows that are held, and their tasks, from every statement but those that remove them.
UPDATE {schema}.workflows
SET is_deleted = true
WHERE workflow_exec_id {in_workflow_exec_ids}

-- name: remove_tasks! :many
-- Removes some `limit` tasks of deleted workflows, or of one of them; children not after parents,
-- if the database asks for that. Fewer rows than that: those of some workflow are all gone.
-- takes: limit, workflow_exec_id?
-- gives: task_exec_id

-- name: remove_workflows! :many
-- Removes the deleted workflows, or the one of them, whose tasks and events are all gone.
DELETE FROM {schema}.workflows
WHERE is_deleted
  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id
  AND NOT EXISTS (
    SELECT 1
    FROM {schema}.tasks
    WHERE tasks.workflow_exec_id = workflows.workflow_exec_id
  )
  AND NOT EXISTS (
    SELECT 1
    FROM {schema}.events
    WHERE events.workflow_exec_id = workflows.workflow_exec_id
  )
RETURNING workflow_exec_id

-- name: count_purgeable :one
-- Counts what `purge` would delete.
-- gives: workflows, tasks
SELECT count(DISTINCT workflows.workflow_exec_id), count(tasks.task_exec_id)
FROM {schema}.workflows
LEFT JOIN {schema}.tasks USING (workflow_exec_id)
WHERE workflows.status {in_statuses}
  AND workflows.updated_at < :older_than
  AND NOT workflows.is_deleted
