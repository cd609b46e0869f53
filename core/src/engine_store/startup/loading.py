"""From the sources to one `Config`: which driver it is for, its own settings, every mistake."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, evolve, field, fields, frozen

from engine_store.config import (
    DEFAULT_DRIVER,
    Config,
    DatabaseConfig,
    Finding,
    Knowledge,
    Worker,
    structure,
)
from engine_store.config.structure import names_of, nearest, unknown
from engine_store.drivers.discovery import driver_settings, is_same_driver
from engine_store.errors import ConfigurationError, EngineStoreError, Problem
from engine_store.secrecy import HiddenDict
from engine_store.startup.sources import (
    ENVIRONMENT,
    FILE_VARIABLE,
    PREFIX,
    Source,
    Tree,
    read_environment,
    read_file,
    variable,
)
from engine_store.urls import parse_url

SECTIONS: dict[str, type[Any]] = {
    "database": DatabaseConfig,
    "knowledge": Knowledge,
    "worker": Worker,
}

COMMON = tuple(
    field.name
    for field in fields(DatabaseConfig)
    if field.init and field.name not in {"options", "vectors", "check_schema"}
)
"""What every database has; the rest of its section is the driver's own."""


def load(
    file: Path | str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Config:
    """The configuration of a file, of the environment, and of arguments; the later ones win.

    `arguments` is a tree as the file has it, such as `{"database": {"url": ...}}`. Where a later
    source names another driver, nothing that is the earlier driver's own counts; where it says
    where the database is, what earlier ones say about that does not count.

    Raises `ConfigurationError` with every problem; a driver that cannot be loaded is one, too.
    """
    environment = HiddenDict(os.environ if environment is None else environment)
    arguments = HiddenDict(arguments or {})
    file = file or environment.get(FILE_VARIABLE)
    of_environment, unknown_names = read_environment(environment, SECTIONS)
    sources = [read_file(Path(file), environment)] if file else []
    sources += [of_environment, Source("arguments", arguments)]
    driver = _Driver.named(sources)
    problems = [Problem(name, _no_variable(name, driver), ENVIRONMENT) for name in unknown_names]
    merged = _merged(sources, driver)
    made = dict(_structured(merged, driver, problems))
    if problems:
        raise ConfigurationError.of("configuration", problems)
    return Config(**made)


# --- the driver --------------------------------------------------------------------------------


@frozen
class _Driver:
    """What the sources say of the driver. `settings` is None where it does not say."""

    name: str
    settings: type[Any] | None = None
    problem: str | None = None

    @classmethod
    def named(cls, sources: Iterable[Source]) -> _Driver:
        """The driver that the strongest source names."""
        named = [_driver_in(source.tree.get("database")) for source in sources]
        return cls.of(next((name for name in reversed(named) if name), DEFAULT_DRIVER))

    @classmethod
    def of(cls, name: str) -> _Driver:
        """What is known of a driver."""
        try:
            return cls(name, driver_settings(name))
        except EngineStoreError as error:
            return cls(name, problem=str(error))

    @property
    def names(self) -> Mapping[str, Attribute[Any]]:
        """The driver's own settings, by each of their names."""
        return {} if self.settings is None else names_of(self.settings)

    def canonical(self, names: Collection[str]) -> set[str]:
        """The names that the settings have in the code."""
        return {self.names[name].name if name in self.names else name for name in names}

    def replaced(self, names: Collection[str]) -> set[str]:
        """What takes its place where a later source gives these settings: other places."""
        places = {
            field.name: set(field.metadata.get("replaces", ())) for field in self.names.values()
        }
        gone = set().union(*(places.get(name, ()) for name in names))
        if "url" in names:
            gone |= set().union(*places.values()) | {name for name in places if places[name]}
        return gone


def _driver_in(section: object) -> str | None:
    """The driver that a section names, by its URL or by its name."""
    if not isinstance(section, dict):
        return None
    url, name = section.get("url"), section.get("driver")
    if isinstance(url, str):
        try:
            return parse_url(url).scheme
        except ConfigurationError:  # reported with the rest
            return None
    return name if isinstance(name, str) else None


# --- one tree of all ---------------------------------------------------------------------------


@frozen
class _Merged:
    """One tree, and the source of each setting by its path."""

    tree: Tree = field(factory=dict, repr=False)
    sources: dict[str, str] = field(factory=dict)

    def sourced(self, problem: Problem) -> Problem:
        """The problem, with the source of its setting."""
        place = problem.path.partition("[")[0]
        while place and place not in self.sources:
            place = place.rpartition(".")[0]
        source = self.sources.get(place, "")
        return evolve(problem, source=variable(place) if source == ENVIRONMENT else source)


def _merged(sources: Iterable[Source], driver: _Driver) -> _Merged:
    merged = _Merged()
    for source in sources:
        for name, content in source.tree.items():
            section = str(name)
            if content is None and section in SECTIONS:  # all of it is commented out
                content = {}
            before = merged.tree.get(section)
            if isinstance(content, dict):
                kept = before if isinstance(before, dict) else {}
                if section == "database":
                    kept = _kept(kept, content, driver)
                content = {str(key): value for key, value in content.items()}
                merged.sources.update({f"{section}.{key}": source.name for key in content})
                content = {**kept, **content}
            merged.tree[section] = content
            merged.sources[section] = source.name
    return merged


def _kept(before: Tree, content: Tree, driver: _Driver) -> Tree:
    """What is left of the database's section once a later source says more."""
    old, new = _driver_in(before) or _implied_by(before, driver), _driver_in(content)
    if old and new and not is_same_driver(old, new):
        return {key: before[key] for key in ("auto_migrate", "migration_timeout") if key in before}
    given = driver.canonical(content)
    gone = given | driver.replaced(given)
    return {key: value for key, value in before.items() if not driver.canonical([key]) & gone}


def _implied_by(section: Tree, driver: _Driver) -> str | None:
    """The default driver, where a section that names none has settings only that one knows."""
    strange = section.keys() - {*COMMON, *driver.names}
    if not strange or driver.settings is None:
        return None
    return DEFAULT_DRIVER if strange <= _Driver.of(DEFAULT_DRIVER).names.keys() else None


# --- its models --------------------------------------------------------------------------------


def _structured(
    merged: _Merged, driver: _Driver, problems: list[Problem]
) -> Iterator[tuple[str, Any]]:
    """The sections, as far as they can be made; what is wrong goes to `problems`."""
    unknown_names = [name for name in merged.tree if name not in SECTIONS]
    problems += [merged.sourced(Problem(name, _no_section(name, driver))) for name in unknown_names]
    if "database" not in merged.tree and driver.problem:
        problems.append(Problem("database.driver", driver.problem))
    for name, cls in SECTIONS.items():
        if name not in merged.tree:
            continue
        content = merged.tree[name]
        try:
            if name == "database" and isinstance(content, dict):
                yield name, _database(content, driver)
            else:
                yield name, structure(content, cls, name)
        except ConfigurationError as error:
            problems += map(merged.sourced, error.problems)


def _database(section: Tree, driver: _Driver) -> DatabaseConfig:
    """Return the database's configuration. Raises `ConfigurationError` with every problem."""
    common = {key: value for key, value in section.items() if key in COMMON}
    own = {key: value for key, value in section.items() if key not in COMMON}
    wrong: tuple[Problem, ...] = ()
    try:
        made = structure({**common, "options": own}, DatabaseConfig, "database")
    except ConfigurationError as error:
        wrong = error.problems
        url = common.get("url")
        made = DatabaseConfig(url if isinstance(url, str) else None, options=own)
    if problems := (*_of_driver(made, driver), *wrong):
        raise ConfigurationError.of("database", problems)
    return made


def _of_driver(config: DatabaseConfig, driver: _Driver) -> Iterator[Problem]:
    """Yield what is wrong with the URL, and with the settings that are the driver's own."""
    try:
        config.driver_options()
    except ConfigurationError as error:
        yield Problem("database.url", error.reason)
        return
    if driver.problem:
        yield Problem("database.url" if config.url else "database.driver", driver.problem)
    if driver.settings is None:
        return
    names = driver.names
    for name in sorted(config.options.keys() - names.keys()):
        yield Problem(f"database.{name}", unknown(name, [*COMMON, *names]))
    if not config.options.keys() <= names.keys():
        options = {name: value for name, value in config.options.items() if name in names}
        config = evolve(config, options=options)
    try:
        config.settings(driver.settings, more_in_url=True)
    except ConfigurationError as error:
        yield from (Problem(found.field, found.message) for found in Finding.of(error))


def _no_section(name: str, driver: _Driver) -> str:
    """What to do about a section that is not known; it may be a setting without its section."""
    path = _paths(driver).get(name)
    meant = f"did you mean {path}?" if path else nearest(name, SECTIONS)
    return f"no section is called so; {meant}"


def _no_variable(name: str, driver: _Driver) -> str:
    """What to do about a variable of no section; it may lack its section."""
    path = _paths(driver).get(name.removeprefix(PREFIX).lower())
    sections = ", ".join(f"{variable(section)}_" for section in SECTIONS)
    meant = f"did you mean {variable(path)}?" if path else f"settings begin with {sections}"
    return f"no setting is called so; {meant}"


def _paths(driver: _Driver) -> dict[str, str]:
    """The path of each setting by its name without the section."""
    names = {"database": [*COMMON, *driver.names]}
    names |= {name: list(names_of(SECTIONS[name])) for name in ("knowledge", "worker")}
    return {key: f"{section}.{key}" for section, keys in names.items() for key in keys}
