"""The SQLite library: one that is too old is refused, the WAL-reset bug is told of."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from engine_store import Config, DatabaseConfig, start
from engine_store.config import Severity
from engine_store.errors import ConfigurationError
from engine_store.startup import findings
from engine_store_sqlite import library

BUG = (
    "SQLite 3.40.1 may lose what was written if another program, such as a shell, opens the file "
    "while a store writes (the WAL-reset bug, fixed in 3.51.3, 3.50.7, 3.44.6); stores themselves "
    "avoid it"
)


@pytest.mark.parametrize("version", ["3.38.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2"])
def test_a_library_with_the_bug_is_known_by_its_version(version: str) -> None:
    found = library.reset_bug(tuple(map(int, version.split("."))))
    assert found == BUG.replace("3.40.1", version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_a_fixed_library_is_known_by_its_version(version: str) -> None:
    assert library.reset_bug(tuple(map(int, version.split(".")))) is None


def test_a_library_that_is_too_old_is_refused() -> None:
    library.check((3, 38, 0))
    message = "expected SQLite 3.38.0 or newer in this Python, found 3.37.2; use a newer Python"
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        library.check((3, 37, 2))


@pytest.mark.parametrize("bug", [None, BUG])
def test_the_check_the_start_and_health_tell_of_the_bug(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bug: str | None
) -> None:
    monkeypatch.setattr(library, "RESET_BUG", bug)
    config: Any = {"database": {"url": f"sqlite:///{path}"}}
    with caplog.at_level(logging.INFO), start(config) as store:
        told = [one.getMessage() for one in caplog.records if "reset bug" in one.getMessage()]
        assert told == [f"{bug} field=database.path"] * (bug is not None)
        assert store.health().details.get("warning") == bug
    found = findings(Config(DatabaseConfig(f"sqlite:///{path}")))
    assert [(one.severity, one.message) for one in found] == (
        [(Severity.NOTE, bug)] * (bug is not None)
    )


def test_a_database_in_memory_is_out_of_reach_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library, "RESET_BUG", BUG)
    with (
        caplog.at_level(logging.INFO),
        start({"database": {"url": "sqlite:///:memory:"}}) as store,
    ):
        assert not [one for one in caplog.records if "reset bug" in one.getMessage()]
        assert "warning" not in store.health().details
