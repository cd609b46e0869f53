"""Mutants of section 2: versions, compare-and-set, and what never changes."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import attrs

from engine_store.errors import VersionConflictError
from engine_store.rules import checks
from engine_store_broken.mutant import mutant, replace, rewrite, rewrite_step, rewritten
from engine_store_sqlite import driver


@mutant("2.1", base="sqlite")
def set_status_keeps_the_version() -> None:
    """A narrow UPDATE of one column forgets that it is a write too."""
    rewrite("set_workflow_status", "version = version + 1,", "")


@mutant("2.1", base="sqlite")
def merge_usage_keeps_the_version() -> None:
    """Usage is seen as a statistic beside the state, and not as a part of it."""
    rewrite("set_task_usage", "version = version + 1,", "")


@mutant("2.1", base="sqlite")
def complete_keeps_the_version() -> None:
    """The last write of a workflow was thought to need no version any more."""

    @replace("engine_store.sql.operations:WorkflowOperations.complete")
    def complete(original: Any, workflows: Any, *args: Any) -> Any:
        queries = copy.copy(workflows._q)
        queries.update_workflow = rewritten(queries.update_workflow, "version = version + 1,", "")
        workflows = copy.copy(workflows)
        workflows._q = queries
        return original(workflows, *args)


@mutant("2.1", base="sqlite")
def a_trigger_counts_too() -> None:
    """A trigger adds 1 to the version, and so does the statement that fires it."""
    trigger = """
CREATE TRIGGER users_count AFTER UPDATE OF email ON users
BEGIN
  UPDATE users SET version = version + 1 WHERE user_id = new.user_id;
END;

-- Finds whether"""
    rewrite_step(1, "\n-- Finds whether", trigger)


@mutant("2.2", base="sqlite")
def create_overwrites() -> None:
    """INSERT OR REPLACE: whoever creates what is there takes it over."""
    rewrite(
        "create_workflow",
        "ON CONFLICT DO NOTHING",
        "ON CONFLICT (workflow_exec_id) DO UPDATE SET input = excluded.input",
    )


@mutant("2.2", base="memory")
def create_returns_what_is_there() -> None:
    """Create is made idempotent: of what is there, it returns the stored state."""

    @replace("engine_store_memory.repository:Versioned._insert")
    def insert(original: Any, repository: Any, data: Any, state: Any) -> Any:
        stored = data[repository.entity].get(repository.entity.key(state))
        return original(repository, data, state) if stored is None else stored


@mutant("2.3", base="sqlite")
def update_compares_nothing() -> None:
    """An UPDATE without the version among its conditions."""
    rewrite("update_user", "AND version = :version", "")


@mutant("2.3", base="memory")
def failed_update_counts() -> None:
    """Each attempt adds 1 to the version, also one that is refused."""

    @replace("engine_store_memory.repository:Versioned._update")
    def update(original: Any, repository: Any, state: Any) -> Any:
        try:
            return original(repository, state)
        except VersionConflictError:
            with repository._scope.write() as data:
                stored = repository._stored(data, repository.entity.key(state))
                repository._put(data, attrs.evolve(stored, version=stored.version + 1))
            raise


@mutant("2.3", base="memory")
def argument_gets_the_new_version() -> None:
    """The caller's state is brought up to date in place, as an ORM does it."""

    @replace("engine_store_memory.repository:Versioned._update")
    def update(original: Any, repository: Any, state: Any) -> Any:
        stored = original(repository, state)
        object.__setattr__(state, "version", stored.version)
        return stored


@mutant("2.3", base="memory")
def conflict_guesses_the_actual_version() -> None:
    """The actual version is not read but taken to be the next one."""

    @replace("engine_store_memory.repository:Versioned._check_version")
    def check(original: Any, repository: Any, before: Any, expected: int) -> None:
        try:
            original(repository, before, expected)
        except VersionConflictError as conflict:
            conflict.actual = expected + 1
            raise


@mutant("2.3", base="memory")
def update_creates_what_is_missing() -> None:
    """A document store's `replace`, which inserts where there is nothing to replace."""

    @replace("engine_store_memory.repository:Versioned._update")
    def update(original: Any, repository: Any, state: Any) -> Any:
        try:
            return original(repository, state)
        except repository.entity.not_found:
            return repository._create(state)


@mutant("2.4", base="sqlite")
def upsert_begins_anew() -> None:
    """REPLACE deletes and inserts: the row begins with version 1 again."""
    rewrite("upsert_user", "version = users.version + 1", "version = 1")


@mutant("2.4", base="memory")
def upsert_looks_first() -> None:
    """Whether to insert or to update is decided before the row can be held."""

    @replace("engine_store_memory.repository:Versioned._upsert")
    def upsert(original: Any, repository: Any, state: Any) -> Any:
        repository.entity.check(state)
        is_new = (
            repository._scope.read()[repository.entity].get(repository.entity.key(state)) is None
        )
        return repository._create(state) if is_new else original(repository, state)


@mutant("2.5", base="memory")
def update_compares_before_it_writes() -> None:
    """Read, compare in Python, then write without a guard: of two who race, both win."""

    @replace("engine_store_memory.repository:Versioned._update")
    def update(original: Any, repository: Any, state: Any) -> Any:
        repository.entity.check(state)
        before = repository._stored(repository._scope.read(), repository.entity.key(state))
        repository.entity.check_immutable(before, state)
        repository._check_version(before, state.version)
        with repository._scope.write() as data:
            return repository._replace(data, before, state)


@mutant("2.6", base="memory")
def modify_tries_once() -> None:
    """Read, apply, compare-and-set, and nothing behind it."""

    @replace("engine_store_memory.repository:Versioned._modify")
    def modify(original: Any, repository: Any, key: str, fn: Any) -> Any:
        before = repository._get(key)
        after = fn(before)
        return before if after is before else repository._update(after)


@mutant("2.6", base="memory")
def modify_never_gives_up() -> None:
    """Retries without bound."""
    from engine_store_memory import repository

    repository._PAUSES = itertools.repeat(0.0)


@mutant("2.6", base="sqlite")
def modify_is_kept_out() -> None:
    """However often it lost, it does not hold the row, and transactions are faster each time."""
    driver.DIALECT = attrs.evolve(driver.DIALECT, lock_after=1_000)


@mutant("2.6", base="memory")
def modify_swallows_the_last_conflict() -> None:
    """When the retries run out, what is stored is returned as if it were the caller's."""

    @replace("engine_store_memory.repository:Versioned._modify")
    def modify(original: Any, repository: Any, key: str, fn: Any) -> Any:
        try:
            return original(repository, key, fn)
        except VersionConflictError:
            return repository._get(key)


@mutant("2.6", base="memory")
def modify_applies_to_the_first_read() -> None:
    """After a conflict only the version is read again, and the function's result is kept."""

    @replace("engine_store_memory.repository:Versioned._modify")
    def modify(original: Any, repository: Any, key: str, fn: Any) -> Any:
        results: list[Any] = []

        def once(state: Any) -> Any:
            if not results:
                results.append((state, fn(state)))
            first, result = results[0]
            return state if result is first else result

        return original(repository, key, once)


@mutant("2.9", base="sqlite")
def any_version_is_restored() -> None:
    """A version at the end of 64 bits is restored, and no write to the row succeeds any more."""

    @replace("engine_store.rules.checks:check_int")
    def check(original: Any, value: Any, path: str, **bounds: Any) -> Any:
        return original(value, path, **{**bounds, "maximum": 2**63 - 1})


@mutant("2.7", base="memory")
def merge_usage_reads_before_it_writes() -> None:
    """Usage is read, merged, and written without looking whether it is still the same."""

    @replace("engine_store_memory.repository:Metered._merge_usage")
    def merge(original: Any, repository: Any, key: str, usage: Any) -> Any:
        checks.check_usage(usage)
        merged = repository._get(key).usage.merge(usage)
        checks.check_usage(merged)
        with repository._scope.write() as data:
            stored = repository._stored(data, key)
            return repository._replace(data, stored, attrs.evolve(stored, usage=merged))


@mutant("2.8", base="sqlite")
def another_parent_is_ignored() -> None:
    """A field that never changes is left out of the UPDATE, and no error says so."""
    rewrite("update_task", "AND parent_state_id IS :parent_state_id", "")


@mutant("2.8", base="sqlite")
def another_workflow_is_accepted() -> None:
    """Every field is in the UPDATE, also one that never changes."""
    rewrite("update_workflow", "SET status", "SET workflow_id = :workflow_id, status")
    rewrite("update_workflow", "AND workflow_id = :workflow_id", "")
