"""Mutants of section 5: workflow executions."""

from __future__ import annotations

from collections.abc import Collection, Set
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from engine_store import values
from engine_store.errors import StatusConflictError, WorkflowNotFoundError
from engine_store.models import Page, PurgeReport, Status
from engine_store.rules import checks
from engine_store.rules.entities import WORKFLOW
from engine_store.rules.sizes import size_of
from engine_store.sql.operation import step
from engine_store_broken.mutant import mutant, replace, rewrite
from engine_store_memory.workflows import tasks_of

OPERATIONS = "engine_store.sql.operations:WorkflowOperations"


@mutant("5.1", base="sqlite")
def tasks_read_behind_the_workflow() -> None:
    """The workflow and its tasks are read one after the other, each from its own snapshot."""

    @replace(f"{OPERATIONS}.get")
    def get(original: Any, workflows: Any, key: str, *, with_tasks: bool = False) -> Any:
        if not with_tasks:
            return (yield from original(workflows, key))
        row, rows = yield (
            workflows._q.get_workflow(workflow_exec_id=key),
            workflows._q.latest_tasks(workflow_exec_id=key),
        )
        if row is None:
            raise WorkflowNotFoundError(key)
        tasks = map(workflows._decode_task, rows)
        return attrs.evolve(workflows._decode(row), tasks={task.task_id: task for task in tasks})


@mutant("5.1", base="memory")
def with_tasks_has_the_first_execution() -> None:
    """Of several executions of a task the one made first stays."""

    @replace("engine_store_memory.workflows:Workflows._with_tasks")
    def with_tasks(original: Any, workflows: Any, data: Any, key: str) -> Any:
        tasks = reversed(tasks_of(data, key))
        return attrs.evolve(original(workflows, data, key), tasks={t.task_id: t for t in tasks})


@mutant("5.2", base="sqlite")
def pages_skip_equal_times() -> None:
    """A cursor is a time alone, and rows of the same time fall between two pages."""
    rewrite(
        "list_workflows",
        "(created_at, workflow_exec_id) < (:before_created_at, :before_id)",
        "created_at < :before_created_at",
    )


@mutant("5.2", base="sqlite")
def pages_repeat_a_row() -> None:
    """A page begins with the row that the cursor stands on."""
    rewrite("list_tasks", "(created_at, task_exec_id) > (", "(created_at, task_exec_id) >= (")


@mutant("5.2", base="memory")
def pages_by_offset() -> None:
    """A cursor counts rows, so that rows made or deleted meanwhile shift the next page."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    @replace("engine_store_memory.repository:Repository.list")
    def listed(
        original: Any, repository: Any, *args: Any, limit: int = 100, cursor: Any = None
    ) -> Any:
        kind = repository.entity.repository
        after = checks.decode_cursor(kind, cursor)
        offset = 0 if after is None else (after[0] - epoch) // timedelta(microseconds=1)
        page = original(repository, *args, limit=min(limit, 1000))
        rows = list(page.items)
        while page.next_cursor is not None:
            page = original(repository, *args, cursor=page.next_cursor)
            rows += page.items
        end = offset + limit
        position = epoch + timedelta(microseconds=end)
        more = checks.encode_cursor(kind, position, "offset") if len(rows) > end else None
        return Page(tuple(rows[offset:end]), more)


@mutant("5.2", base="sqlite")
def oldest_first() -> None:
    """Workflows are listed as everything else is, in the order they were made."""
    rewrite("list_workflows", "workflow_exec_id) < (", "workflow_exec_id) > (")
    rewrite(
        "list_workflows",
        "ORDER BY created_at DESC, workflow_exec_id DESC",
        "ORDER BY created_at, workflow_exec_id",
    )


@mutant("5.3", base="sqlite")
def latest_by_insertion() -> None:
    """Of executions made at the same time the one inserted last is the latest."""
    rewrite("latest_workflow", "workflow_exec_id DESC", "workflows.rowid DESC")


@mutant("5.3", base="sqlite")
def latest_by_its_last_write() -> None:
    """The latest execution is the one that was last written."""
    rewrite("latest_workflow", "ORDER BY created_at DESC", "ORDER BY updated_at DESC")


@mutant("5.4", base="memory")
def guards_checked_before() -> None:
    """The guards are checked, and then the status is set, with room for others in between."""

    @replace("engine_store_memory.workflows:Workflows.set_status")
    def set_status(
        original: Any,
        workflows: Any,
        key: str,
        status: Status,
        *,
        expected_statuses: Collection[Status] | None = None,
        **version: Any,
    ) -> Any:
        values.check_choices(expected_statuses, Status, "expected_statuses")
        now = workflows._get(key).status
        if expected_statuses is not None and not version and now not in expected_statuses:
            expected = frozenset(status.value for status in expected_statuses)
            raise StatusConflictError(key, expected, now.value)
        guards = {"expected_statuses": expected_statuses} if version else {}
        return original(workflows, key, status, **version, **guards)


@mutant("5.4", base="sqlite")
def only_one_guard_counts() -> None:
    """Where a version is expected, nobody looks at the status."""

    @replace(f"{OPERATIONS}.set_status")
    def set_status(original: Any, workflows: Any, *args: Any, **guards: Any) -> Any:
        if guards.get("expected_version") is not None:
            guards.pop("expected_statuses", None)
        return original(workflows, *args, **guards)


@mutant("5.5", base="memory")
def complete_refuses_what_is_too_large() -> None:
    """An output that is too large is an error of `complete`, so that the workflow never ends."""

    @replace("engine_store.rules.outcomes:completed")
    def completed(original: Any, *given: Any, max_document_bytes: int) -> Any:
        done = original(*given, max_document_bytes=2**40)
        values.check_size(size_of(done.output), "workflow.output", max_document_bytes)
        return done


@mutant("5.5", base="sqlite")
def timed_out_counts_as_success() -> None:
    """Only FAILED was thought of as a failure."""

    @replace("engine_store.sql.operations.workflows:completed")
    def completed(original: Any, state: Any, roots: Any, transform: Any = None) -> Any:
        counted = {
            key: Status.SUCCESS if status is Status.TIMED_OUT else status
            for key, status in roots.items()
        }
        return original(state, counted, transform)


@mutant("5.5", base="sqlite")
def superseded_roots_count() -> None:
    """Of several executions of a root task the first one decides."""
    of_roots = "        SELECT rowid AS row_id, {}(created_at || task_exec_id)"
    rewrite("latest_tasks_and_roots", of_roots.format("max"), of_roots.format("min"))


@mutant("5.5", base="memory")
def complete_writes_again() -> None:
    """A workflow that is terminal already is completed once more."""

    @replace("engine_store_memory.workflows:Workflows.complete")
    def complete(original: Any, workflows: Any, key: str, transform: Any = None) -> Any:
        from engine_store_memory import workflows as module

        terminal, module.TERMINAL = module.TERMINAL, ()
        try:
            return original(workflows, key, transform)
        finally:
            module.TERMINAL = terminal


@mutant("5.6", base="memory")
def delete_leaves_the_tasks() -> None:
    """The workflow goes, and its tasks stay behind without it."""

    @replace("engine_store_memory.workflows:_delete")
    def delete(original: Any, data: Any, keys: Set[str]) -> int:
        for key in keys:
            del data[WORKFLOW][key]
        return sum(len(tasks_of(data, key)) for key in keys)


@mutant("5.6", base="sqlite")
def what_is_being_deleted_is_read() -> None:
    """A large execution is removed in batches, and its tasks are read until they are gone."""
    hidden = (
        "workflow_exec_id NOT IN (SELECT workflow_exec_id FROM main.workflows WHERE is_deleted)"
    )
    for name in ("latest_tasks", "list_tasks", "count_children", "task_tree"):
        rewrite(name, hidden, "true")


@mutant("5.6", base="sqlite")
def purge_takes_running_workflows() -> None:
    """Purging by age alone, unless statuses are given."""

    @replace(f"{OPERATIONS}.purge")
    def purge(original: Any, workflows: Any, older_than: Any, **given: Any) -> Any:
        return original(workflows, older_than, **{"statuses": tuple(Status), **given})


@mutant("5.6", base="sqlite")
def purge_stops_behind_one_batch() -> None:
    """The size of a batch is taken for a limit."""

    @replace(f"{OPERATIONS}.purge")
    def purge(original: Any, workflows: Any, older_than: Any, **given: Any) -> Any:
        statuses = given.get("statuses", checks.PURGED_BY_DEFAULT)
        size, dry_run = given.get("batch_size", 100), given.get("dry_run", False)
        checks.check_purge(older_than, statuses, size)
        if dry_run:
            return (yield from original(workflows, older_than, **given))
        rows = workflows._rows
        chosen = rows.time(older_than), rows.collection(statuses), size
        yield step(workflows._mark_purgeable, *chosen)
        return PurgeReport(*(yield from workflows._remove_deleted()), dry_run=False)


@mutant("5.6", base="sqlite")
def a_dry_run_deletes() -> None:
    """The argument is only reported back."""

    @replace(f"{OPERATIONS}.purge")
    def purge(original: Any, workflows: Any, older_than: Any, **given: Any) -> Any:
        dry_run = given.pop("dry_run", False)
        report = yield from original(workflows, older_than, **given)
        return attrs.evolve(report, dry_run=dry_run)


@mutant("5.6", base="sqlite")
def purge_by_creation() -> None:
    """Purging takes what was made before the time, also where it was written since."""
    rewrite("lock_purgeable", "updated_at < :older_than", "created_at < :older_than")
