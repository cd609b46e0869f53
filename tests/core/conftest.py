"""What the tests of the core share."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from engine_store.drivers import discovery

# Two tests may share a core with ten others: how long an example takes says nothing here.
settings.register_profile("core", deadline=None)
settings.load_profile("core")


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Run a program in a fresh interpreter; returns what it printed, stripped."""

    def run(program: str, *, measured: bool = True) -> str:
        # Coverage brings modules of its own into the interpreters it measures.
        environment = {
            name: value
            for name, value in os.environ.items()
            if measured or not name.startswith("COVERAGE_")
        }
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            check=False,
            env=environment,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def distributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, dict[str, str]], None]:
    """Install throw-away distributions, the only ones that can be found during the test.

    Called with a distribution's name, its `entry_points.txt` and its modules by name.
    """
    root = tmp_path / "installed"
    root.mkdir()
    elsewhere = [place for place in sys.path if not any(Path(place).glob("*.dist-info"))]
    monkeypatch.setattr(sys, "path", [str(root), *elsewhere])
    importlib.invalidate_caches()
    discovery._entry_point.cache_clear()

    def install(name: str, points: str, modules: dict[str, str]) -> None:
        metadata = root / f"{name.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(textwrap.dedent(points))
        for module, text in modules.items():
            monkeypatch.delitem(sys.modules, module, raising=False)
            (root / f"{module}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield install
    discovery._entry_point.cache_clear()
    for path in root.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def driver_module() -> str:
    """The text of a module whose `DRIVER` has what every driver has, and opens nothing."""
    return textwrap.dedent(
        """
        class Driver:
            name = "fake"

            def capabilities(self, config): ...
            def scratch(self, url): ...
            def open(self, config, context): ...
            async def open_async(self, config, context): ...

        DRIVER = Driver()
        """
    )
