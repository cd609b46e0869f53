"""A driver that is wrong in one way, which its URL names: `broken:///PATH?mutant=NAME`.

It is the driver of SQLite or the one in memory, with one mutant of `engine_store_broken`
in it. `mutant=none` is the unbroken driver; `base=memory` beside it says of which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

import attrs

import engine_store_memory
import engine_store_sqlite.driver
from engine_store.config import DatabaseConfig
from engine_store.protocols import AsyncStore, Capability, Driver, OpenContext, Store
from engine_store_broken import (  # noqa: F401 - each adds its mutants to the list
    claims,
    elsewhere,
    events,
    life_cycle,
    migrations,
    tasks,
    transactions,
    usage,
    users,
    values,
    versions,
    waiting,
    workflows,
)
from engine_store_broken.mutant import MUTANTS, Mutant

_BASES: Mapping[str, Driver] = {
    "sqlite": engine_store_sqlite.driver.DRIVER,
    "memory": engine_store_memory.DRIVER,
}
_applied: list[Mutant] = []


class BrokenDriver:
    """`engine_store.protocols.Driver`."""

    name = "broken"

    def capabilities(self, config: DatabaseConfig) -> Mapping[str, Capability]:
        driver, config = _base(config)
        return driver.capabilities(config)

    @contextmanager
    def scratch(self, url: str) -> Iterator[str]:
        mutant, options, base_url = _parse(url)
        with _apply(mutant).scratch(base_url) as scratch:
            place, _, query = scratch.removeprefix(f"{mutant.base}://").partition("?")
            yield f"broken://{place}?{urlencode([*options, *parse_qsl(query)])}"

    def open(self, config: DatabaseConfig, context: OpenContext) -> Store:
        driver, config = _base(config)
        return driver.open(config, context)

    async def open_async(self, config: DatabaseConfig, context: OpenContext) -> AsyncStore:
        driver, config = _base(config)
        return await driver.open_async(config, context)


def _base(config: DatabaseConfig) -> tuple[Driver, DatabaseConfig]:
    """The driver below, already broken, and its configuration."""
    assert config.url is not None
    mutant, _, base_url = _parse(config.url)
    return _apply(mutant), attrs.evolve(config, url=base_url)


def _parse(url: str) -> tuple[Mutant, list[tuple[str, str]], str]:
    """The mutant of a URL, the options that name it, and the URL for the driver below."""
    place, _, query = url.removeprefix("broken://").partition("?")
    options = parse_qsl(query)
    ours = [(name, value) for name, value in options if name in ("mutant", "base")]
    rest = urlencode([option for option in options if option not in ours])
    named = dict(ours)
    if named["mutant"] == "none":
        mutant = Mutant("none", "", named.get("base", "sqlite"), lambda: None)
    else:
        mutant = MUTANTS[named["mutant"]]
    return mutant, ours, f"{mutant.base}://{place}{rest and '?'}{rest}"


def _apply(mutant: Mutant) -> Driver:
    """The driver below the mutant, broken once: a process serves one mutant."""
    if not _applied:
        _applied.append(mutant)
        mutant.override()
    assert [known.name for known in _applied] == [mutant.name]
    return _BASES[mutant.base]


DRIVER = BrokenDriver()
