"""Benchmarks: each store beside the bare module of its database, doing the same in the same run."""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPTS = str(Path(__file__).resolve().parents[1] / "scripts")

# `postgres_server` is a script, not an installed package. Last, so that nothing there hides
# another module; pytest and mypy have the folder on their paths by their own settings.
if _SCRIPTS not in sys.path:
    sys.path.append(_SCRIPTS)
