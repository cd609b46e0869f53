"""start, check, health, drivers, schema: whether a store can be used, and how to configure it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from attrs import frozen
from rich.table import Table

import engine_store
from engine_store.cli.run import NO, Run, command
from engine_store.config import DatabaseConfig, Finding
from engine_store.errors import EngineStoreError
from engine_store.models import Health
from engine_store.plugins import driver_distribution, installed_drivers, load_driver
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
    watch: Annotated[bool, typer.Option(help="Stay, and print the health now and then.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
) -> None:
    """Validate, open, migrate where configured, report, and exit."""
    config = run.config()
    for finding in findings(config):
        run.errors.print(f"{finding.severity.value} {finding.field}: {finding.message}")
    with engine_store.start(config) as store:
        health = store.health()
        run.answer(health, _table(health))
        while watch:
            time.sleep(interval)
            health = store.health()
            run.answer(health, _table(health))


@command(app, "check")
def check_configuration(run: Run) -> None:
    """Validate the configuration; nothing is opened."""
    config = run.config()
    found = findings(config)
    errors = [finding for finding in found if finding.severity.value == "error"]
    if run.as_json:
        run.answer({"ok": not errors, "driver": config.database.driver_name, "findings": found})
    else:
        for finding in found:
            run.console.print(_line(finding))
        if not errors:
            run.console.print(f"the configuration is valid; driver {config.database.driver_name}")
    if errors:
        raise typer.Exit(2)


@command(app)
def health(run: Run) -> None:
    """Say whether the store can read and write, and the driver's own figures."""
    with run.store() as store:
        health = store.health()
    run.answer(health, _table(health))
    if not health.ok:
        raise typer.Exit(NO)


@command(app)
def drivers(run: Run) -> None:
    """List the installed drivers, what they can do, and why one cannot be loaded."""
    found = [_driver(name) for name in installed_drivers()]
    table = Table("driver", "distribution", "cannot", box=None)
    for driver in found:
        lacking = [f"{n}: {c['reason']}" for n, c in driver.capabilities.items() if c["reason"]]
        distribution = " ".join(filter(None, (driver.distribution, driver.version)))
        table.add_row(driver.name, distribution, driver.problem or "\n".join(lacking))
    run.answer(found, table)
    if any(driver.problem for driver in found):
        raise typer.Exit(NO)


@command(app)
def schema(run: Run) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    run.answer(json_schema())


def _driver(name: str) -> DriverAnswer:
    distribution, version = driver_distribution(name)
    try:
        driver, _ = load_driver(name)
        declared = driver.capabilities(DatabaseConfig(driver=name, options=_ANYWHERE.get(name, {})))
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


_ANYWHERE: dict[str, dict[str, Any]] = {"sqlite": {"path": "engine.db"}}
"""A place, for a driver whose capabilities depend on it."""


def _table(health: Health) -> Table:
    table = Table(show_header=False, box=None)
    table.add_row("driver", health.driver)
    table.add_row("reads", "yes" if health.can_read else "no")
    table.add_row("writes", "yes" if health.can_write else "no")
    table.add_row("schema version", str(health.schema_version))
    if health.problem:
        table.add_row("problem", health.problem)
    for name, value in health.details.items():
        table.add_row(name.replace("_", " "), str(value))
    return table


def _line(finding: Finding) -> str:
    colour = "red" if finding.severity.value == "error" else "yellow"
    return f"[{colour}]{finding.severity.value}[/] {finding.field}: {finding.message}"
