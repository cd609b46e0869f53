"""The contract as one pytest class, to be inherited by a driver's tests:

    class TestMyDriver(DriverContract):
        @pytest.fixture
        def harness(self, tmp_path):
            with UrlHarness(f"mydriver:///{tmp_path}/engine.db") as harness:
                yield harness

Nothing is listed there by hand, and nothing can be left out but by a capability (contract 9.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import new_class
from typing import TYPE_CHECKING

from engine_store_contracts import suite
from engine_store_contracts.machine import MachineCases
from engine_store_contracts.suite.case import ContractCase


def _sections() -> Iterator[type[ContractCase]]:
    """Yield every class with cases of the suite."""
    for module in iter_modules(suite.__path__, f"{suite.__name__}."):
        for found in vars(import_module(module.name)).values():
            is_its_own = isinstance(found, type) and found.__module__ == module.name
            if is_its_own and issubclass(found, ContractCase) and found is not ContractCase:
                yield found
    yield MachineCases


if TYPE_CHECKING:
    Sections = ContractCase
else:
    Sections = new_class("Sections", tuple(_sections()))


class DriverContract(Sections):
    """Every case there is, for both faces. Whoever inherits provides the fixture `harness`."""
