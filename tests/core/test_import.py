"""What `import engine_store` brings, and what it leaves alone."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
from importlib import metadata

import mypy.api as mypy
import pytest

import engine_store
from engine_store import models

DRIVERS_AND_THEIRS = {
    "engine_store_contracts",
    "engine_store_postgres",
    "engine_store_sqlite",
    "psycopg",
    "psycopg_pool",
    "sqlite3",
    "sqlite_utils",
}


HEAVY = {"asyncio", "attr", "cattrs", "email", "importlib.metadata", "orjson", "pluggy"}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import engine_store", set()),
        ("from engine_store import new_id, utc_now", set()),
        ("from engine_store import TaskState, Status, EngineStoreError", {"attr"}),
    ],
)
def test_an_import_loads_what_it_needs(run_python, statement, heavy):
    printed = run_python(
        f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))", measured=False
    )
    assert HEAVY & set(json.loads(printed)) == heavy


def test_importing_every_name_of_the_core_imports_no_driver(run_python):
    printed = run_python(
        """
        import json, sys
        from engine_store import *

        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
        """,
        measured=False,
    )
    assert DRIVERS_AND_THEIRS.isdisjoint(json.loads(printed))


def test_no_module_of_the_core_imports_a_driver(run_python):
    printed = run_python(
        """
        import importlib, json, pkgutil, sys
        import engine_store

        for module in pkgutil.walk_packages(engine_store.__path__, "engine_store."):
            importlib.import_module(module.name)
        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
        """,
        measured=False,
    )
    assert DRIVERS_AND_THEIRS.isdisjoint(json.loads(printed))


def test_listing_the_installed_drivers_imports_none(run_python):
    printed = run_python(
        """
        import json, sys
        from engine_store.drivers.discovery import installed_drivers

        installed = installed_drivers()
        print(json.dumps([installed, sorted({name.partition(".")[0] for name in sys.modules})]))
        """,
        measured=False,
    )
    installed, loaded = json.loads(printed)
    assert "sqlite" in installed
    assert DRIVERS_AND_THEIRS.isdisjoint(loaded)


def test_every_public_name_is_there():
    assert len(set(engine_store.__all__)) == len(engine_store.__all__)
    assert set(engine_store.__all__) <= set(dir(engine_store))
    for name in engine_store.__all__:
        assert getattr(engine_store, name) is not None


def test_a_name_is_a_name_even_if_a_module_has_a_similar_one():
    functions = ("context", "current", "load", "new_id", "open", "open_async", "start", "utc_now")
    assert all(inspect.isfunction(getattr(engine_store, name)) for name in functions)


def test_modules_are_attributes_without_an_import_of_their_own(run_python):
    assert run_python("import engine_store as e; print(e.errors.names(['a']))", measured=False)


def test_an_unknown_name_is_an_error_at_run_time_and_for_a_type_checker(tmp_path):
    with pytest.raises(AttributeError, match="'engine_store' has no attribute 'opne'"):
        engine_store.opne  # noqa: B018
    with pytest.raises(ImportError):
        from engine_store import opne  # noqa: F401
    snippet = tmp_path / "snippet.py"
    snippet.write_text("import engine_store\n\nengine_store.opne\nengine_store.open(1)\n")
    out, _, _ = mypy.run(["--config-file=", f"--cache-dir={tmp_path}", str(snippet)])
    assert re.findall(r"snippet.py:(\d+): error: .*\[(.*)\]", out) == [
        ("3", "attr-defined"),
        ("4", "arg-type"),
    ]


def test_help_shows_what_is_public():
    text = pydoc.plain(pydoc.render_doc(engine_store))
    assert "open(target: 'str | DatabaseConfig'" in text
    assert "class TaskState" in text


def test_the_models_are_the_librarys_vocabulary():
    assert set(models.__all__) <= set(engine_store.__all__)


def test_the_version_is_that_of_the_distribution():
    assert engine_store.__version__ == metadata.version("engine-store")
