"""The contract classes a driver's tests inherit, put together from the sections."""

from __future__ import annotations

from engine_store_contracts.suite.api_keys import ApiKeyCases
from engine_store_contracts.suite.completion import CompletionCases
from engine_store_contracts.suite.concurrency import ConcurrencyCases
from engine_store_contracts.suite.deletion import DeletionCases
from engine_store_contracts.suite.life_cycle import LifeCycleCases
from engine_store_contracts.suite.paging import PagingCases
from engine_store_contracts.suite.savepoints import SavepointCases
from engine_store_contracts.suite.tasks import TaskCases
from engine_store_contracts.suite.transactions import TransactionCases
from engine_store_contracts.suite.trees import TreeCases
from engine_store_contracts.suite.usage import UsageCases
from engine_store_contracts.suite.users import UserCases
from engine_store_contracts.suite.values import ValueCases
from engine_store_contracts.suite.versions import VersionCases
from engine_store_contracts.suite.workflows import WorkflowCases


class StoreContract(
    ValueCases,
    VersionCases,
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
):
    """Sections 1 to 7, and 9.1 and 9.4: what every store promises, with either face."""
