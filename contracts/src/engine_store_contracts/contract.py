"""The contract as one pytest class, to be inherited by a driver's tests:

    class TestMyDriver(DriverContract):
        @pytest.fixture
        def harness(self, tmp_path):
            with UrlHarness(f"mydriver:///{tmp_path}/engine.db") as harness:
                yield harness

Nothing is listed there by hand, and nothing can be left out but by a capability (contract 9.5).
"""

from __future__ import annotations

from engine_store_contracts.machine import MachineCases
from engine_store_contracts.suite.api_keys import ApiKeyCases
from engine_store_contracts.suite.asynchronous import AsyncCases
from engine_store_contracts.suite.capabilities import CapabilityCases
from engine_store_contracts.suite.completion import CompletionCases
from engine_store_contracts.suite.concurrency import ConcurrencyCases
from engine_store_contracts.suite.deletion import DeletionCases
from engine_store_contracts.suite.elsewhere import ElsewhereCases
from engine_store_contracts.suite.histories import (
    AsyncHistoryCases,
    HistoryCases,
    ProcessHistoryCases,
)
from engine_store_contracts.suite.interface import InterfaceCases
from engine_store_contracts.suite.life_cycle import LifeCycleCases
from engine_store_contracts.suite.migrations import MigrationCases
from engine_store_contracts.suite.paging import PagingCases
from engine_store_contracts.suite.processes import ProcessCases
from engine_store_contracts.suite.reopening import ReopenCases
from engine_store_contracts.suite.restoring import RestoreCases
from engine_store_contracts.suite.savepoints import SavepointCases
from engine_store_contracts.suite.synchronous import SyncCases
from engine_store_contracts.suite.tasks import TaskCases
from engine_store_contracts.suite.transactions import TransactionCases
from engine_store_contracts.suite.trees import TreeCases
from engine_store_contracts.suite.usage import UsageCases
from engine_store_contracts.suite.users import UserCases
from engine_store_contracts.suite.values import ValueCases
from engine_store_contracts.suite.versions import VersionCases
from engine_store_contracts.suite.workflows import WorkflowCases


class DriverContract(
    ValueCases,
    VersionCases,
    RestoreCases,
    ConcurrencyCases,
    TransactionCases,
    SavepointCases,
    UserCases,
    ApiKeyCases,
    WorkflowCases,
    CompletionCases,
    DeletionCases,
    PagingCases,
    TaskCases,
    TreeCases,
    UsageCases,
    LifeCycleCases,
    InterfaceCases,
    CapabilityCases,
    MachineCases,
    HistoryCases,
    AsyncHistoryCases,
    ProcessHistoryCases,
    ReopenCases,
    ElsewhereCases,
    MigrationCases,
    SyncCases,
    AsyncCases,
    ProcessCases,
):
    """Every case there is, for both faces. Whoever inherits provides the fixture `harness`."""
