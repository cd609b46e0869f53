"""The contract for the driver of a URL, for `pytest --pyargs engine_store_contracts`."""

from functools import partial

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, scratch_harness
from engine_store_contracts.reuse import Reused


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse to begin without a URL."""
    if metafunc.config.option.store_url is None:
        raise pytest.Collector.CollectError("say which driver to prove: --store-url URL")


class TestContract(DriverContract):
    """The cases on scratch databases next to that of the URL."""

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest, reused: Reused) -> Harness:
        return reused(partial(scratch_harness, request.config.option.store_url))
