"""What `import engine_store` brings, and what it leaves alone."""

from __future__ import annotations

import json
from importlib import metadata

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


def test_importing_the_core_imports_no_driver(run_python):
    printed = run_python(
        """
        import json, sys
        import engine_store

        print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
        """,
        measured=False,
    )
    loaded = set(json.loads(printed))
    assert "engine_store" in loaded
    assert DRIVERS_AND_THEIRS.isdisjoint(loaded)


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
        from engine_store.discovery import installed_drivers

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
    for name in engine_store.__all__:
        assert getattr(engine_store, name) is not None


def test_the_models_are_the_librarys_vocabulary():
    assert set(models.__all__) <= set(engine_store.__all__)


def test_the_version_is_that_of_the_distribution():
    assert engine_store.__version__ == metadata.version("engine-store")
