"""engine-store: the storage layer of AI-agent workflow engines.

    import engine_store
    from engine_store import WorkflowState, new_id

    with engine_store.open("sqlite:///engine.db") as store:
        store.workflows.create(WorkflowState(new_id(), "nightly-report"))

What a store offers is in `engine_store.protocols`, what it raises in `engine_store.errors`, what
flows in and out in `engine_store.models`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine_store.clock import UNSAVED, Clock, utc_now
    from engine_store.config import Config, DatabaseConfig
    from engine_store.errors import EngineStoreError
    from engine_store.ids import new_id
    from engine_store.models import (
        DEFAULT_QUEUE,
        STATUS_CHANGED,
        TERMINAL,
        ApiKey,
        ApiKeyFilter,
        Claim,
        Component,
        ErrorInfo,
        Event,
        ExecutionType,
        Health,
        NewEvent,
        Page,
        Progress,
        PurgeReport,
        QueueStats,
        Role,
        Status,
        Strategy,
        TaskFilter,
        TaskState,
        UsageEntry,
        UsageSummary,
        User,
        UserFilter,
        WorkflowFilter,
        WorkflowState,
    )
    from engine_store.opening import open, open_async  # noqa: A004 - as in `engine_store.open`
    from engine_store.protocols import AsyncStore, AsyncTransaction, Store, Transaction
    from engine_store.run_context import Context, context, current
    from engine_store.startup.loading import load
    from engine_store.startup.start import start, start_async

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_QUEUE",
    "STATUS_CHANGED",
    "TERMINAL",
    "UNSAVED",
    "ApiKey",
    "ApiKeyFilter",
    "AsyncStore",
    "AsyncTransaction",
    "Claim",
    "Clock",
    "Component",
    "Config",
    "Context",
    "DatabaseConfig",
    "EngineStoreError",
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
    "Store",
    "Strategy",
    "TaskFilter",
    "TaskState",
    "Transaction",
    "UsageEntry",
    "UsageSummary",
    "User",
    "UserFilter",
    "WorkflowFilter",
    "WorkflowState",
    "context",
    "current",
    "load",
    "new_id",
    "open",
    "open_async",
    "start",
    "start_async",
    "utc_now",
]

_HOMES = (
    "clock",
    "ids",
    "errors",
    "models",
    "protocols",
    "config",
    "run_context",
    "opening",
    "startup",
)
"""The modules of the public names, light ones first; each is imported when a name needs it."""

if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in __all__:
            modules = (import_module(f"{__name__}.{home}") for home in _HOMES)
            found = next(vars(module)[name] for module in modules if name in vars(module))
            globals()[name] = found
            return found
        submodule = f"{__name__}.{name}"
        try:
            return import_module(submodule)
        except ModuleNotFoundError as missing:
            if missing.name != submodule:
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
