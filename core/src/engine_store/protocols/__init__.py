"""The interfaces: stores, repositories, transactions, migrators and drivers."""

from engine_store.protocols.asynchronous import (
    AsyncApiKeyRepository,
    AsyncMigrator,
    AsyncRepositories,
    AsyncStore,
    AsyncTaskRepository,
    AsyncTransaction,
    AsyncUserRepository,
    AsyncWorkflowRepository,
)
from engine_store.protocols.driver import Capability, Driver, Observable, OpenContext, Place
from engine_store.protocols.sync import (
    ApiKeyRepository,
    Migrator,
    Repositories,
    Store,
    TaskRepository,
    Transaction,
    UserRepository,
    WorkflowRepository,
)

__all__ = [
    "ApiKeyRepository",
    "AsyncApiKeyRepository",
    "AsyncMigrator",
    "AsyncRepositories",
    "AsyncStore",
    "AsyncTaskRepository",
    "AsyncTransaction",
    "AsyncUserRepository",
    "AsyncWorkflowRepository",
    "Capability",
    "Driver",
    "Migrator",
    "Observable",
    "OpenContext",
    "Place",
    "Repositories",
    "Store",
    "TaskRepository",
    "Transaction",
    "UserRepository",
    "WorkflowRepository",
]
