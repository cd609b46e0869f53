"""The contract for the driver of a URL, for `pytest --pyargs engine_store_contracts`."""

from collections.abc import Iterator

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, UrlHarness, driver_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse to begin without a URL."""
    if metafunc.config.option.store_url is None:
        raise pytest.Collector.CollectError("say which driver to prove: --store-url URL")


class TestContract(DriverContract):
    """Each case on a scratch database of its own, beside that of the URL."""

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> Iterator[Harness]:
        url: str = request.config.option.store_url
        with driver_of(url).scratch(url) as scratch, UrlHarness(scratch) as harness:
            yield harness
