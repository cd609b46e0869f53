"""Mutants of section 8: migrations. Only SQLite has some."""

from __future__ import annotations

import time
from typing import Any

import attrs

from engine_store.migrations import Direction, MigrationPlan
from engine_store_broken.mutant import mutant, replace, rewrite_step

MIGRATOR = "engine_store.sql.migrator:SqlMigrator"


@mutant("8.1", base="sqlite")
def up_goes_all_the_way() -> None:
    """The target of `up` is ignored."""

    @replace(f"{MIGRATOR}.up")
    async def up(original: Any, migrator: Any, target: int | None = None) -> Any:
        await migrator.plan(target)  # a target that is no step is still refused
        return await original(migrator)


@mutant("8.2", base="sqlite")
def planned_before_the_lock() -> None:
    """What is to be done is decided before the lock is held, and not looked at again."""

    @replace(f"{MIGRATOR}._migrate")
    async def migrate(
        original: Any, migrator: Any, direction: Direction, target: int | None
    ) -> MigrationPlan:
        left = migrator._left(direction, await migrator.applied(), target)
        for step in left:
            async with migrator._locked(time.monotonic() + migrator._timeout) as connection:
                await migrator._prepare(connection)
                await migrator._run(connection, step, direction)
        return MigrationPlan(direction, left)


@mutant("8.3", base="sqlite")
def down_forgets_and_keeps() -> None:
    """A step is forgotten, and what it made stays."""
    rewrite_step(3, "DROP TABLE tasks;", "SELECT 1;")


@mutant("8.3", base="sqlite")
def down_forgets_an_index() -> None:
    """A step back reverts less than the step made: here the index of another table."""
    rewrite_step(
        3, "CREATE TABLE tasks", "CREATE INDEX forgotten ON users (role);\nCREATE TABLE tasks"
    )


@mutant("8.3", base="sqlite")
def verify_always_agrees() -> None:
    """Verifying is not implemented, and says nothing."""

    @replace(f"{MIGRATOR}.verify")
    async def verify(original: Any, migrator: Any) -> None:
        await migrator.applied()


@mutant("8.3", base="sqlite")
def a_plan_is_carried_out() -> None:
    """Asking for the plan runs it."""

    @replace(f"{MIGRATOR}.plan")
    async def plan(original: Any, migrator: Any, target: int | None = None) -> Any:
        planned = await original(migrator, target)
        await migrator._migrate(planned.direction, target)
        return planned


@mutant("8.4", base="sqlite")
def a_schema_behind_is_opened() -> None:
    """That steps are missing is noticed by the first statement that needs them."""

    @replace("engine_store_sqlite.driver:check_file")
    def check_file(original: Any, *args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs | {"behind": True})


@mutant("8.4", base="sqlite")
def migrates_uninvited() -> None:
    """Opening migrates, whatever the configuration says."""

    @replace("engine_store_sqlite.driver:open_engine")
    def open_engine(original: Any, config: Any, context: Any) -> Any:
        return original(attrs.evolve(config, auto_migrate=True), context)
