"""start, check, health, drivers, schema: whether a store can be used, and how to configure it."""

from __future__ import annotations

import json
import logging
import time
from typing import Annotated, Any

import typer
from attrs import evolve, frozen
from rich.console import Console
from rich.table import Table
from rich.text import Text

import engine_store
from engine_store.cli import NO, USAGE
from engine_store.cli.run import Run, command, table, text
from engine_store.cli.streams import printable
from engine_store.config import DatabaseConfig, Finding, Severity
from engine_store.drivers.discovery import driver_distribution, installed_drivers, load_driver
from engine_store.errors import ConfigurationError, EngineStoreError, Problem
from engine_store.ids import new_id
from engine_store.models import Health, WorkflowState
from engine_store.protocols import Store
from engine_store.run_context import LOGGER
from engine_store.startup import findings, json_schema

app = typer.Typer()


@frozen
class DriverAnswer:
    """What is known of an installed driver."""

    name: str
    distribution: str | None
    version: str | None
    capabilities: dict[str, dict[str, Any]]
    problem: str | None = None


@command(app)
def start(
    run: Run,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and look again and again.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks of --watch.")
    ] = 10.0,
) -> None:
    """Open the store, migrate it where configured.

    What a program does by engine_store.start(): it validates the configuration, opens the
    store, applies missing steps where the configuration says so, checks its health, and logs.
    """
    _log_to(run.errors)
    with engine_store.start(run.config) as store:
        health = store.health()
        run.answer(health, _table(health))
        while watch:
            time.sleep(interval)
            health = store.health()
            run.answer(health, _table(health))


@command(app, "check")
def check_configuration(run: Run) -> None:
    """Validate the configuration; open nothing.

    Exit code 2 where something is wrong with it; warnings and notes are none.
    """
    try:
        config = run.config
    except ConfigurationError as error:
        problems = error.problems or (Problem(error.field, error.reason),)
        driver, found = None, [_found(problem) for problem in problems]
    else:
        driver, found = config.database.driver_name, list(findings(config))
    valid = all(finding.severity is not Severity.ERROR for finding in found)
    lines = Text("\n").join(map(_line, found))
    if valid:
        lines.append(f"{lines and chr(10)}the configuration is valid; driver {driver}")
    run.answer({"ok": valid, "driver": driver, "findings": found}, lines)
    if not valid:
        raise typer.Exit(USAGE)


@command(app)
def health(
    run: Run,
    write: Annotated[
        bool, typer.Option("--write", help="Try a write, and undo it: a lock or a disk may refuse.")
    ] = False,
) -> None:
    """Say whether the store reads and may be written.

    With its schema version and the driver's own statistics. Exit code 1 if it does not.
    """
    with run.store() as store:
        health = store.health()
        if write and health.ok:
            health = _tried(store, health)
    run.answer(health, _table(health))
    if not health.ok:
        raise typer.Exit(NO)


@command(app)
def drivers(run: Run) -> None:
    """List the installed drivers.

    With what they cannot do, and why one cannot be loaded; the exit code is 1 then.
    """
    found = [_driver(name) for name in installed_drivers()]
    shown = table("driver", "distribution", "cannot")
    for driver in found:
        lacking = [f"{n}: {c['reason']}" for n, c in driver.capabilities.items() if c["reason"]]
        distribution = " ".join(filter(None, (driver.distribution, driver.version)))
        shown.add_row(driver.name, distribution, driver.problem or "; ".join(lacking))
    run.answer(found, shown)
    if any(driver.problem for driver in found):
        raise typer.Exit(NO)


@command(app)
def schema(run: Run) -> None:
    """Print the JSON Schema of configurations."""
    made = json_schema()
    run.answer(made, json.dumps(made, indent=2, ensure_ascii=False))


class _Undone(Exception):
    """Ends a transaction that is not to be kept."""


def _tried(store: Store, health: Health) -> Health:
    """The health after a write that is undone; its transaction waits for locks as any does."""
    key = new_id()
    try:
        with store.transaction() as tx:
            tx.workflows.create(WorkflowState(key, "health"))
            raise _Undone
    except _Undone:
        return health
    except EngineStoreError as error:
        return evolve(health, can_write=False, problem=str(error))


def _driver(name: str) -> DriverAnswer:
    distribution, version = driver_distribution(name)
    try:
        driver = load_driver(name)
        # Some can do less in one place than in another: a plausible one.
        declared = driver.capabilities(DatabaseConfig(url=f"{name}:///engine.db"))
    except EngineStoreError as error:
        return DriverAnswer(name, distribution, version, {}, str(error))
    capabilities = {
        capability.name: {
            "supported": capability.supported,
            "reason": "" if capability.supported else capability.reason,
        }
        for capability in declared.values()
    }
    return DriverAnswer(name, distribution, version, capabilities)


class _Line(logging.Formatter):
    """A line of the log, with escapes for what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n")


def _log_to(errors: Console) -> None:
    """Send what the store logs there."""
    handler = logging.StreamHandler(errors.file)
    handler.setFormatter(_Line("%(levelname)s %(message)s"))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _table(health: Health) -> Table:
    shown = table()
    shown.add_row("driver", health.driver)
    shown.add_row("reads", "yes" if health.can_read else "no")
    shown.add_row("writes", "yes" if health.can_write else "no")
    shown.add_row("schema version", str(health.schema_version))
    if health.problem:
        shown.add_row("problem", health.problem)
    for name, value in health.details.items():
        shown.add_row(name.replace("_", " "), str(value))
    return shown


def _found(problem: Problem) -> Finding:
    place = f"{problem.path} ({problem.source})" if problem.source else problem.path
    return Finding(Severity.ERROR, place, problem.message)


_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def _line(finding: Finding) -> Text:
    colour = _COLOURS[finding.severity]
    return text((finding.severity.value, colour), f" {finding.field}: {finding.message}")
