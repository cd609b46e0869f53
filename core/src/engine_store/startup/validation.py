"""Finds errors and risks in a configuration before anything is opened.

Drivers and engines add rules: a driver that is `Checkable`, a plugin with the hook
`engine_store_check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine_store.config import Config, Finding, Severity
from engine_store.drivers.discovery import load_driver
from engine_store.errors import ConfigurationError, Problem
from engine_store.plugins import Plugins
from engine_store.protocols import Capability, Checkable
from engine_store.urls import mask_url

ALTERNATIVES = "qdrant, redis or filesystem"


def findings(config: Config, plugins: Iterable[object] = ()) -> tuple[Finding, ...]:
    """Return what the rules of core, of the driver and of the plugins find, errors first.

    Raises `UnknownDriverError` and `DriverLoadError`.
    """
    driver = load_driver(config.database.driver_name)
    found = [*_vectors(config)]
    found += Plugins.of(plugins).check(config)
    try:
        if isinstance(driver, Checkable):
            for finding in driver.check(config):  # what it finds before it raises counts too
                found.append(finding)
        declared = driver.capabilities(config.database)
    except ConfigurationError as error:  # the driver cannot use its own settings
        found += Finding.of(error)
    else:
        found += _capabilities(config, declared.get("vectors"))
    return tuple(sorted(dict.fromkeys(found), key=lambda one: one.severity is not Severity.ERROR))


def check(config: Config, plugins: Iterable[object] = ()) -> tuple[Finding, ...]:
    """Return the warnings. Raises `ConfigurationError` with every error."""
    found = findings(config, plugins)
    problems = [Problem(one.field, one.message) for one in found if one.severity is Severity.ERROR]
    if problems:
        raise ConfigurationError.of("configuration", problems)
    return found


def _vectors(config: Config) -> Iterator[Finding]:
    if config.knowledge is None:
        return
    ids = [db.id for db in config.knowledge.vector_dbs]
    for doubled in sorted({one for one in ids if ids.count(one) > 1}):
        message = f"the id {mask_url(doubled)!r} is given twice"
        yield Finding(Severity.ERROR, "knowledge.vector_dbs", message)


def _capabilities(config: Config, vectors: Capability | None) -> Iterator[Finding]:
    """That the database can keep vectors, where it is to; that something does."""
    if config.knowledge is None or vectors is None or vectors.supported:
        return
    name = config.database.driver_name
    if config.needs_vectors:
        message = (
            f"{name} has no pgvector: {vectors.reason}; set the provider to {ALTERNATIVES}, or the "
            "driver to postgres"
        )
        yield Finding(Severity.ERROR, "knowledge.vector_dbs", message)
    if not config.knowledge.vector_dbs:
        message = (
            f"there is none, and {name} keeps no vectors itself; add one with the provider "
            f"{ALTERNATIVES}"
        )
        yield Finding(Severity.WARNING, "knowledge.vector_dbs", message)
