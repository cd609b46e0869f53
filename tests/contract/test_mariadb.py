"""MariaDB, by the example of a driver: a database that the cases share, as PostgreSQL's."""

import os
from collections.abc import Iterator
from functools import partial

import pytest

from engine_store_contracts.contract import DriverContract
from engine_store_contracts.harness import Harness, scratch_harness
from engine_store_contracts.reuse import Reused
from mariadb_server import why_missing

if "ENGINE_STORE_TEST_MARIADB_URL" not in os.environ and (reason := why_missing()) is not None:
    pytest.skip(reason, allow_module_level=True)


class TestMariadb(DriverContract):
    @pytest.fixture
    def harness(
        self, request: pytest.FixtureRequest, mariadb_url: str, reused: Reused
    ) -> Iterator[Harness]:
        make = partial(scratch_harness, mariadb_url)
        if "past_the_open_transaction" in request.node.name:
            # A new one: InnoDB locks what is next to rows that were deleted and not yet purged.
            with make() as harness:
                yield harness
        else:
            yield reused(make)
