"""The pytest plugin of the suite: it registers the marker `clause`.

It imports nothing of `engine_store`, so that coverage may start before that is imported.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make `clause` known, also under `--strict-markers`."""
    config.addinivalue_line("markers", "clause(*numbers): the clauses of the contract it proves")
