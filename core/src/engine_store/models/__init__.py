"""The values that flow in and out of a store: frozen classes. States change by `evolve`."""

from engine_store.models.error_info import ErrorInfo
from engine_store.models.events import STATUS_CHANGED, Event, NewEvent
from engine_store.models.health import Health
from engine_store.models.pages import (
    ApiKeyFilter,
    Page,
    PurgeReport,
    TaskFilter,
    UserFilter,
    WorkflowFilter,
)
from engine_store.models.states import TERMINAL, Component, ExecutionType, Role, Status, Strategy
from engine_store.models.tasks import (
    DEFAULT_QUEUE,
    Claim,
    Progress,
    QueueStats,
    TaskState,
)
from engine_store.models.usage import UsageEntry, UsageSummary
from engine_store.models.users import ApiKey, User
from engine_store.models.workflows import WorkflowState

__all__ = [
    "DEFAULT_QUEUE",
    "STATUS_CHANGED",
    "TERMINAL",
    "ApiKey",
    "ApiKeyFilter",
    "Claim",
    "Component",
    "ErrorInfo",
    "Event",
    "ExecutionType",
    "Health",
    "NewEvent",
    "Page",
    "Progress",
    "PurgeReport",
    "QueueStats",
    "Role",
    "Status",
    "Strategy",
    "TaskFilter",
    "TaskState",
    "UsageEntry",
    "UsageSummary",
    "User",
    "UserFilter",
    "WorkflowFilter",
    "WorkflowState",
]
