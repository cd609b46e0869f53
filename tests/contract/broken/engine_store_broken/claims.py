"""Mutants of section 10: claims of tasks, leases, canceling and queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs

from engine_store.models import Claim, Status
from engine_store.rules.claims import (
    DEFAULT_QUEUES,
    check_claim,
    check_queues,
    check_seconds,
    lost,
)
from engine_store.rules.entities import TASK
from engine_store_broken.mutant import mutant, replace, rewrite, rewrite_step
from engine_store_memory.database import Lease

CLAIMS = "engine_store_memory.claims"
CLAIM_ORDER = "ORDER BY 4 DESC, 5, 6, 7"
"""The order of what `claim_tasks` finds: by priority, due time, creation and id."""

IS_DUE = "coalesce(due_at, created_at) <= :now"


def accept(is_own: Callable[[Claim, Lease], bool]) -> None:
    """Let the driver in memory take further claims for the one that has their task."""

    @replace(f"{CLAIMS}:Claims._claimed")
    def claimed(original: Any, tasks: Any, data: Any, claim: Claim) -> Any:
        lease = data.leases.get(claim.task.task_exec_id)
        if lease is not None and is_own(claim, lease):
            claim = attrs.evolve(claim, token=lease.token)
        return original(tasks, data, claim)


@mutant("10.1", base="sqlite")
def chosen_by_time_alone() -> None:
    """A claim takes what has waited longest, and sorts only what it took by priority."""
    rewrite("claim_tasks", CLAIM_ORDER, "ORDER BY 5, 6, 7")


@mutant("10.1", base="memory")
def priorities_upside_down() -> None:
    """The lowest number goes first, as with the priorities of Unix."""

    @replace("engine_store.rules.claims:claim_order")
    def claim_order(original: Any, task: Any) -> Any:
        priority, *others = original(task)
        return (-priority, *others)


@mutant("10.1", base="sqlite")
def a_due_time_is_only_a_wish() -> None:
    """Tasks are sorted by when they are due, and nobody asks whether they are."""
    rewrite("claim_tasks", f"AND {IS_DUE}", "")


@mutant("10.1", base="sqlite")
def limited_before_what_is_due() -> None:
    """The limit is applied first, so that tasks that are not yet due stand in for others."""
    rewrite("claim_tasks", f"AND {IS_DUE}", "")
    rewrite("claim_tasks", "WHERE true", "WHERE found.due <= :now")


@mutant("10.1", base="memory")
def queues_in_the_order_given() -> None:
    """A claim goes from queue to queue, and empties the first one before it looks at the next."""

    @replace(f"{CLAIMS}:Claims.claim")
    def claim(original: Any, tasks: Any, worker: str, **how: Any) -> Any:
        queues, limit = how.pop("queues", DEFAULT_QUEUES), how.pop("limit", 1)
        found: list[Any] = []
        for queue in check_queues(queues):
            if not found or len(found) < limit:
                how |= {"queues": [queue], "limit": limit - len(found)}
                found += original(tasks, worker, **how)
        return tuple(found)


@mutant("10.1", base="sqlite")
def queues_by_name() -> None:
    """The index begins with the queue, and so does the order of what a claim takes."""
    rewrite("claim_tasks", CLAIM_ORDER, "ORDER BY 2, 4 DESC, 5, 6, 7")


@mutant("10.1", base="sqlite")
def a_filter_of_claims_is_ignored() -> None:
    """One of the filters got into the statement of lists, and not into that of claims."""
    rewrite("claim_tasks", "  AND workflow_exec_id = :workflow_exec_id --? workflow_exec_id\n", "")


@mutant("10.1", base="memory")
def a_filter_of_claims_misses_leases() -> None:
    """The filter is a condition of what is PENDING, and an expired lease gets past it."""

    @replace(f"{CLAIMS}:matching")
    def matching(original: Any, free: Any, filter: Any) -> Any:
        found = original(free, filter)
        return [task for task in free if task in found or task.status is Status.RUNNING]


@mutant("10.1", base="memory")
def attempts_as_the_caller_has_them() -> None:
    """The number of attempts is a field like any other, and whoever writes a task sets it."""

    @replace(f"{CLAIMS}:Claims._replace")
    def replaced(original: Any, tasks: Any, *rows: Any) -> Any:
        return tasks._rewrite(*rows)


@mutant("10.2", base="memory")
def leases_keep_nobody_out() -> None:
    """A claim asks whether a task has a lease, and not whether that has expired."""

    @replace(f"{CLAIMS}:_is_free")
    def is_free(original: Any, data: Any, task: Any, now: Any) -> bool:
        return task.task_exec_id in data.leases or original(data, task, now)


@mutant("10.2", base="memory")
def claims_look_before_they_take() -> None:
    """Free tasks are read, and then taken, without a second look at whether they still are."""
    seen = threading.local()

    @replace(f"{CLAIMS}:Claims.claim")
    def claim(original: Any, tasks: Any, *args: Any, **how: Any) -> Any:
        seen.data = tasks._scope.read()
        return original(tasks, *args, **how)

    @replace(f"{CLAIMS}:_is_free")
    def is_free(original: Any, data: Any, task: Any, now: Any) -> Any:
        before = seen.data[TASK].get(task.task_exec_id, task)
        return original(seen.data, before, now)


@mutant("10.2", base="memory")
def ends_of_leases_are_cached() -> None:
    """What claims have seen of a lease is cached by its token, and renewals leave the token."""
    seen: dict[tuple[str, str], datetime] = {}

    @replace(f"{CLAIMS}:_is_free")
    def is_free(original: Any, data: Any, task: Any, now: Any) -> Any:
        lease = data.leases.get(task.task_exec_id)
        if lease is None:
            return original(data, task, now)
        return seen.setdefault((task.task_exec_id, lease.token), lease.expires_at) <= now


@mutant("10.2", base="memory")
def leases_beyond_a_rollback() -> None:
    """Leases are kept beside the database, where no rollback reaches them."""

    @replace("engine_store_memory.database:Snapshot.copy")
    def copy(original: Any, snapshot: Any) -> Any:
        return attrs.evolve(original(snapshot), leases=snapshot.leases)


@mutant("10.2", base="sqlite")
def expired_leases_come_last() -> None:
    """What nobody has ever claimed goes first, and what somebody gave up gets what is left."""
    rewrite("claim_tasks", CLAIM_ORDER, "ORDER BY 3 DESC, 4 DESC, 5, 6, 7")


@mutant("10.2", base="sqlite")
def leases_stay_in_their_queue() -> None:
    """A lease has the queue of its task, but only as it was when the task was claimed."""
    rewrite_step(6, "old.queue <> new.queue", "false")


@mutant("10.3", base="memory")
def whoever_had_the_task_finishes_it() -> None:
    """It is checked that a task is claimed, and not by whom."""
    accept(lambda claim, lease: True)


@mutant("10.3", base="memory")
def claims_told_by_their_worker() -> None:
    """A claim is known by the worker's name, also one that the same worker has lost since."""
    accept(lambda claim, lease: claim.worker == lease.worker)


@mutant("10.3", base="sqlite")
def renewals_compare_no_token() -> None:
    """A heartbeat finds its lease by the task, and so prolongs that of somebody else."""
    rewrite("renew_lease", "AND token = :token", "")


@mutant("10.3", base="memory")
def renewals_look_before_they_write() -> None:
    """Whether the claim is lost is read first, and its lease written whatever came between."""

    @replace(f"{CLAIMS}:Claims.renew")
    def renew(original: Any, tasks: Any, claim: Claim, *, lease: float) -> Any:
        claim, length = check_claim(claim), check_seconds(lease, "lease")
        tasks._claimed(tasks._scope.read(), claim)
        time.sleep(0.001)  # which is when others come between
        with tasks._scope.write() as data:
            end = tasks._scope.now() + length
            data.leases[claim.task.task_exec_id] = Lease(claim.worker, claim.token, end)
        return attrs.evolve(claim, expires_at=end)


@mutant("10.3", base="memory")
def claims_lost_when_they_expire() -> None:
    """A lease that has expired is refused even while nobody else has taken the task."""

    @replace(f"{CLAIMS}:Claims._claimed")
    def claimed(original: Any, tasks: Any, data: Any, claim: Claim) -> Any:
        task = original(tasks, data, claim)
        if data.leases[task.task_exec_id].expires_at <= tasks._scope.now():
            raise lost(claim, None, task.status)
        return task


@mutant("10.3", base="memory")
def renewals_are_writes_of_the_task() -> None:
    """The end of a lease is a column of the task, and each heartbeat a new version of that."""

    @replace(f"{CLAIMS}:Claims.renew")
    def renew(original: Any, tasks: Any, claim: Claim, **lease: Any) -> Any:
        renewed = original(tasks, claim, **lease)
        with tasks._scope.write() as data:
            task = tasks._stored(data, claim.task.task_exec_id)
            tasks._rewrite(data, task, task)
        return renewed


@mutant("10.4", base="memory")
def finish_compares_the_version() -> None:
    """Finishing is an update, and fails once anybody has written the task since its claim."""

    @replace(f"{CLAIMS}:Claims.finish")
    def finish(original: Any, tasks: Any, claim: Claim, **ending: Any) -> Any:
        stored = tasks._stored(tasks._scope.read(), claim.task.task_exec_id)
        tasks._check_version(stored, claim.task.version)
        return original(tasks, claim, **ending)


@mutant("10.4", base="memory")
def usage_stays_with_the_task() -> None:
    """The usage is added to the task alone: adding up the workflow was left to another job."""

    @replace(f"{CLAIMS}:written")
    def written(original: Any, row: Any, now: Any, **changes: Any) -> Any:
        return row if "usage" in changes else original(row, now, **changes)


@mutant("10.4", base="sqlite")
def finish_keeps_an_old_output() -> None:
    """An output that is not given is taken for one that is not to change."""
    rewrite("finish_task", "output = :output", "output = coalesce(:output, output)")


@mutant("10.5", base="sqlite")
def released_without_a_delay() -> None:
    """A task that is given back is ready at once, however long its worker wanted it to wait."""
    rewrite("release_task", "due_at = :due_at", "due_at = :now")


@mutant("10.5", base="memory")
def a_release_is_no_attempt() -> None:
    """What is given back was not tried: its attempt is taken off the count again."""

    @replace(f"{CLAIMS}:Claims.release")
    def release(original: Any, tasks: Any, claim: Claim, **how: Any) -> Any:
        released = original(tasks, claim, **how)
        with tasks._scope.write() as data:
            return tasks._put(data, attrs.evolve(released, attempt=released.attempt - 1))


@mutant("10.6", base="sqlite")
def leases_outlive_the_run() -> None:
    """There is no trigger: who set a task to WAITING still has it when it runs again."""
    rewrite_step(6, "WHEN old.status = 'RUNNING' AND new.status <> 'RUNNING'", "WHEN false")


@mutant("10.6", base="memory")
def leases_outlive_a_canceled_workflow() -> None:
    """A statement that writes all tasks of a workflow goes past the method that ends leases."""

    @replace("engine_store_memory.workflows:cancel")
    def cancel(original: Any, data: Any, *args: Any) -> None:
        leases = dict(data.leases)
        original(data, *args)
        data.leases.update(leases)


@mutant("10.6", base="sqlite")
def leases_outlive_their_task() -> None:
    """Leases have no foreign key, and a new task of an old id inherits what was left."""
    rewrite_step(6, "WHEN old.status = 'RUNNING'\nBEGIN", "WHEN false\nBEGIN")


@mutant("10.7", base="sqlite")
def cancel_overwrites_what_has_ended() -> None:
    """An UPDATE of all tasks has no condition, and failures become cancellations."""
    rewrite("cancel_tasks", "AND status NOT IN (SELECT value FROM json_each(:ended_statuses))", "")


@mutant("10.7", base="sqlite")
def cancel_overwrites_an_ended_workflow() -> None:
    """Canceling sets a status, whatever the workflow came to."""
    rewrite(
        "cancel_workflow", "AND status NOT IN (SELECT value FROM json_each(:ended_statuses))", ""
    )


@mutant("10.7", base="sqlite")
def cancel_stops_at_what_has_ended() -> None:
    """The recursion leaves out what has ended, and with it what still runs below."""
    rewrite(
        "cancel_tasks",
        "child.parent_state_id = tree.task_exec_id",
        "child.parent_state_id = tree.task_exec_id AND child.status <> 'FAILED'",
    )


@mutant("10.7", base="memory")
def cancel_forgets_the_tasks() -> None:
    """The workflow is canceled, and its tasks are left to whoever looks after them."""

    @replace("engine_store_memory.workflows:cancel")
    def cancel(original: Any, *args: Any) -> None:
        return


@mutant("10.7", base="memory")
def an_ended_workflow_takes_tasks() -> None:
    """A new task needs its workflow, and no more than its foreign key asks for."""

    @replace("engine_store_memory.tasks:Tasks._check_open")
    def check_open(original: Any, *args: Any) -> None:
        return


@mutant("10.8", base="sqlite")
def expired_counts_as_ready() -> None:
    """What can be claimed is counted as ready, also while it is still leased."""
    rewrite(
        "queue_stats",
        "SELECT queue, 0, 0, 1, expires_at <= :now, NULL",
        "SELECT queue, expires_at <= :now, 0, 1, expires_at <= :now, NULL",
    )


@mutant("10.8", base="sqlite")
def next_due_forgets_leases() -> None:
    """Only what is PENDING comes due, and nobody wakes up when a lease expires."""
    rewrite("next_due", "min(expires_at)", "NULL")


@mutant("10.8", base="sqlite")
def expired_by_id() -> None:
    """Leases that have expired come in the order of their tasks, and the oldest may be cut off."""
    rewrite("list_expired", "ORDER BY leases.expires_at, ", "ORDER BY ")


@mutant("10.9", base="sqlite")
def restored_tasks_run_for_ever() -> None:
    """A task that is RUNNING is thought to be somebody's, and its worker is in another store."""
    rewrite_step(6, "WHEN new.status = 'RUNNING' AND new.attempt > 0", "WHEN false")
