"""engine-store: the storage layer of AI-agent workflow engines.

    import engine_store
    from engine_store import WorkflowState, new_id

    with engine_store.open("sqlite:///engine.db") as store:
        store.workflows.create(WorkflowState(new_id(), "nightly-report"))

What a store offers is in `engine_store.protocols`, what it raises in `engine_store.errors`, what
flows in and out in `engine_store.models`.
"""

from engine_store.clock import UNSAVED, Clock, utc_now
from engine_store.config import Config, DatabaseConfig
from engine_store.context import Context, context, current
from engine_store.errors import EngineStoreError
from engine_store.ids import new_id
from engine_store.models import *  # noqa: F403 - the models are the library's vocabulary
from engine_store.models import __all__ as _models
from engine_store.opening import open, open_async  # noqa: A004
from engine_store.protocols import AsyncStore, AsyncTransaction, Store, Transaction
from engine_store.startup import load, start, start_async

__version__ = "0.1.0"

__all__ = [
    "UNSAVED",
    "AsyncStore",
    "AsyncTransaction",
    "Clock",
    "Config",
    "Context",
    "DatabaseConfig",
    "EngineStoreError",
    "Store",
    "Transaction",
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
__all__ += _models
