"""From the sources to one `Config`: which driver it is for, its own settings, every mistake."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, fields, frozen

from engine_store.config import Config, DatabaseConfig, Knowledge, Worker, structure
from engine_store.config.structure import names_of, nearest
from engine_store.errors import ConfigurationError, EngineStoreError, Problem
from engine_store.plugins import driver_settings
from engine_store.startup.sources import (
    FILE_VARIABLE,
    PREFIX,
    Source,
    Tree,
    read_environment,
    read_file,
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
    if field.name not in {"options", "vectors", "check_schema"}
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
    source names another driver, or a URL, what earlier ones say of where the database is does not
    count. Raises `ConfigurationError` with every problem, `UnknownDriverError`, `DriverLoadError`.
    """
    variables = os.environ if environment is None else environment
    file = file or variables.get(FILE_VARIABLE)
    given = [Source("arguments", dict(arguments or {}))]
    stated = [read_file(Path(file), variables)] if file else []
    paths = _variables(_driver_of(stated, variables, given))
    of_environment, unknown = read_environment(variables, paths)
    merged = _merged([*stated, of_environment, *given])
    problems = [
        Problem(name, f"no setting is called so; {nearest(name, list(paths))}", "environment")
        for name in unknown
    ]
    config = _structured(merged, problems)
    if problems:
        raise ConfigurationError.of("configuration", problems)
    return evolve(config, database=evolve(config.database, vectors=config.needs_vectors))


@frozen
class _Merged:
    """One tree, and the source of each setting by its path."""

    tree: Tree
    sources: Mapping[str, str]


def _driver_of(
    stated: Iterable[Source], variables: Mapping[str, str], given: Iterable[Source]
) -> str:
    """The driver that the strongest source names, by a URL or by its name."""
    of_environment: Tree = {
        name: variables[f"{PREFIX}DATABASE_{name.upper()}"]
        for name in ("url", "driver")
        if f"{PREFIX}DATABASE_{name.upper()}" in variables
    }
    trees = [source.tree.get("database") for source in stated]
    trees += [of_environment, *(source.tree.get("database") for source in given)]
    driver = DatabaseConfig().driver
    for tree in trees:
        if not isinstance(tree, dict):
            continue
        named, url = tree.get("driver"), tree.get("url")
        if isinstance(url, str):
            driver = _scheme(url)
        elif isinstance(named, str):
            driver = named
    return driver


def _scheme(url: str) -> str:
    try:
        return parse_url(url).scheme
    except ConfigurationError as error:
        raise ConfigurationError("database.url", error.reason) from None


def _variables(driver: str) -> dict[str, tuple[str, ...]]:
    """Every setting by the name of its variable."""
    settings = driver_settings(driver)
    own = [] if settings is None else list(names_of(settings))
    paths = [("database", name) for name in (*COMMON, *own)]
    paths += [(name, key) for name in ("knowledge", "worker") for key in names_of(SECTIONS[name])]
    return {f"{PREFIX}{'_'.join(path).upper()}": path for path in paths}


def _merged(sources: Iterable[Source]) -> _Merged:
    tree: Tree = {}
    origins: dict[str, str] = {}
    for source in sources:
        for section, content in source.tree.items():
            origins[section] = source.name
            if not isinstance(content, dict):
                tree[section] = content
                continue
            before = tree.get(section)
            kept = _kept(section, before, content) if isinstance(before, dict) else {}
            tree[section] = {**kept, **content}
            origins |= {f"{section}.{key}": source.name for key in content}
    return _Merged(tree, origins)


def _kept(section: str, before: Tree, content: Tree) -> Tree:
    """What is left of a section once a later source says more."""
    if section != "database":
        return before
    moved = "url" in content or content.get("driver", before.get("driver")) != before.get("driver")
    if not moved:
        return {key: value for key, value in before.items() if not _replaces(key, content)}
    return {key: before[key] for key in ("auto_migrate", "migration_timeout") if key in before}


def _replaces(key: str, content: Tree) -> bool:
    """Whether a place that is given by fields takes the place of an earlier URL."""
    return key == "url" and bool({"path", "host", "conn_string"} & content.keys())


def _structured(merged: _Merged, problems: list[Problem]) -> Config:
    """The configuration, as far as it can be made; what is wrong goes to `problems`."""
    made: dict[str, Any] = {}
    for name in merged.tree:
        if name not in SECTIONS:
            message = f"no section is called so; {nearest(str(name), list(SECTIONS))}"
            problems.append(_sourced(Problem(str(name), message), merged))
    for name, cls in SECTIONS.items():
        if name not in merged.tree:
            continue
        content = merged.tree[name]
        try:
            if name == "database":
                content = _with_options(content)
            made[name] = structure(content, cls, name)
            if name == "database":
                _check_options(made[name])
        except ConfigurationError as error:
            found = error.problems or (Problem(error.field, error.reason),)
            problems += [_sourced(_flat(problem), merged) for problem in found]
        except EngineStoreError as error:  # no such driver
            problems.append(_sourced(Problem(f"{name}.driver", str(error)), merged))
    return Config(**{name: value for name, value in made.items() if name in SECTIONS})


def _with_options(content: Any) -> Any:
    """The section as the model has it: the driver's own settings are its options."""
    if not isinstance(content, dict):
        return content
    options = {key: value for key, value in content.items() if key not in COMMON}
    common = {key: value for key, value in content.items() if key in COMMON}
    return {**common, "options": options} if options else common


def _check_options(database: DatabaseConfig) -> None:
    """That the driver knows its settings, of the URL too where it reads them itself."""
    settings = driver_settings(database.driver_name)
    if settings is not None:
        structure(dict(database.options), settings, "database")


def _flat(problem: Problem) -> Problem:
    """The driver's own settings stand in the section itself."""
    return evolve(problem, path=problem.path.replace("database.options.", "database."))


def _sourced(problem: Problem, merged: _Merged) -> Problem:
    """The problem, with the source of its setting."""
    place = problem.path
    while place and place not in merged.sources:
        place = place.rpartition(".")[0] if "[" not in place else place.partition("[")[0]
    return evolve(problem, source=merged.sources.get(place, ""))
