"""The operations of every repository, written once for all SQL drivers."""

from engine_store.sql.operations.api_keys import ApiKeyOperations
from engine_store.sql.operations.base import Bindings
from engine_store.sql.operations.events import EventOperations
from engine_store.sql.operations.tasks import TaskOperations
from engine_store.sql.operations.users import UserOperations
from engine_store.sql.operations.workflows import WorkflowOperations

__all__ = [
    "ApiKeyOperations",
    "Bindings",
    "EventOperations",
    "TaskOperations",
    "UserOperations",
    "WorkflowOperations",
]
