"""The application: its lifespan, who may call it, and its routes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.sse import EventSourceResponse, ServerSentEvent

import engine_store
from engine_store import (
    TERMINAL,
    AsyncStore,
    Config,
    Event,
    Page,
    Status,
    User,
    WorkflowState,
    new_id,
)
from engine_store.errors import NotFoundError, UnavailableError
from engine_store.keys import AsyncKeyChecker
from fastapi_app import errors
from fastapi_app.messages import (
    Cancellation,
    Execution,
    ExecutionEvent,
    ExecutionPage,
    ExecutionWithTasks,
    HealthReport,
    NewEvent,
    NewStatus,
    NewWorkflow,
    Problem,
    sent,
)

DEFAULT_STORE = "sqlite:///engine.db"
UNFINISHED = frozenset(Status) - TERMINAL

_log = logging.getLogger(__name__)


def configuration() -> Config:
    """Return what the environment configures; if it names no database, a file in this folder.

    Raises `ConfigurationError`.
    """
    said = ("ENGINE_STORE_DATABASE_", "ENGINE_STORE_CONFIG")
    if any(name.startswith(said) for name in os.environ):
        return engine_store.load()
    return engine_store.load(arguments={"database": {"url": DEFAULT_STORE}})


def create_app(config: Config | None = None) -> FastAPI:
    """Return the application on the store of `config`, by default that of the environment."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # The store belongs to the event loop that opens it, so it is opened here. It is closed
        # when the last request was answered, after the checker, which may still write to it.
        async with (
            await engine_store.start_async(config or configuration()) as store,
            AsyncKeyChecker(store) as checker,
        ):
            yield {"store": store, "checker": checker}

    app = FastAPI(title="Workflows", lifespan=lifespan)
    app.include_router(health)
    app.include_router(workflows)
    errors.install(app)
    return app


# --- what routes depend on ---------------------------------------------------------------------


async def store_of(request: Request) -> AsyncStore:
    """Return the store of the application."""
    store: AsyncStore = request.state.store
    return store


StoreHere = Annotated[AsyncStore, Depends(store_of)]


async def caller(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> User:
    """Return whose API key came as `Authorization: Bearer ...`. Raises `InvalidKeyError`."""
    checker: AsyncKeyChecker = request.state.checker
    user, _ = await checker.check(given.credentials if given else "")
    return user


async def expected_version(if_match: Annotated[str | None, Header()] = None) -> int | None:
    """Return the version in `If-Match`; None for `*`, which is whatever is there."""
    if if_match is None:
        raise HTTPException(428, "If-Match is missing: the ETag as you read it, or * for any")
    if if_match == "*":
        return None
    if tag := re.fullmatch('"([0-9]{1,18})"', if_match):
        return int(tag[1])
    raise HTTPException(400, 'If-Match is neither one ETag, such as "3", nor *')


async def last_seen(
    workflow_exec_id: str,
    store: StoreHere,
    after: int = 0,
    last_event_id: Annotated[int | None, Header()] = None,
) -> int:
    """Return the number of the last event that the caller has. Raises `WorkflowNotFoundError`.

    A browser asks again after the end of every stream, until it gets a 204: so it does if the
    execution has ended and the caller has all of its events.
    """
    seen = after if last_event_id is None else last_event_id
    workflow = await store.workflows.get(workflow_exec_id)
    events = await store.events.list(workflow_exec_id, after=seen, limit=1)
    if workflow.status in TERMINAL and not events:
        raise HTTPException(204)
    return seen


def tagged(response: Response, state: WorkflowState) -> WorkflowState:
    """Return `state`, with its version as the ETag of the response.

    The tag is for `If-Match`. It says nothing about the tasks, which have their own versions, so
    the answer is not to be cached.
    """
    response.headers["ETag"] = errors.etag(state.version)
    response.headers["Cache-Control"] = "no-store"
    return state


ExpectedVersion = Annotated[int | None, Depends(expected_version)]
LastSeen = Annotated[int, Depends(last_seen)]


# --- routes ------------------------------------------------------------------------------------

health = APIRouter()
workflows = APIRouter(
    prefix="/workflows",
    dependencies=[Depends(caller)],
    responses={"4XX": {"model": Problem}, 503: {"model": Problem}},
)


@health.get("/health")
async def get_health(store: StoreHere, response: Response) -> HealthReport:
    """Report whether the store reads and writes; 503 if not. No key is needed."""
    found = await store.health()
    response.status_code = 200 if found.ok else 503
    return HealthReport(reads=found.can_read, writes=found.can_write)


@workflows.post("", status_code=201, response_model=Execution)
async def create(new: NewWorkflow, store: StoreHere, response: Response) -> WorkflowState:
    """Create an execution. With an id of your own the request can be sent again: 409 then."""
    exec_id = str(new.workflow_exec_id or new_id())
    state = WorkflowState(exec_id, new.workflow_id, input=new.input)
    response.headers["Location"] = f"/workflows/{exec_id}"
    return tagged(response, await store.workflows.create(state))


@workflows.get("", response_model=ExecutionPage)
async def page(
    store: StoreHere, limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
) -> Page[WorkflowState]:
    """List executions, the newest first. `next_cursor` asks for the next page, if there is one."""
    return await store.workflows.list(limit=limit, cursor=cursor)


@workflows.get("/{workflow_exec_id}", response_model=ExecutionWithTasks)
async def get(workflow_exec_id: str, store: StoreHere, response: Response) -> WorkflowState:
    """Return an execution, and the latest execution of each of its tasks."""
    return tagged(response, await store.workflows.get(workflow_exec_id, with_tasks=True))


@workflows.post("/{workflow_exec_id}/status", response_model=Execution)
async def set_status(
    workflow_exec_id: str,
    new: NewStatus,
    version: ExpectedVersion,
    store: StoreHere,
    response: Response,
) -> WorkflowState:
    """Set the status, if `If-Match` has the version and the execution has not ended."""
    state = await store.workflows.set_status(
        workflow_exec_id, new.status, expected_version=version, expected_statuses=UNFINISHED
    )
    return tagged(response, state)


@workflows.post("/{workflow_exec_id}/cancel", response_model=Execution)
async def cancel(
    workflow_exec_id: str, new: Cancellation, store: StoreHere, response: Response
) -> WorkflowState:
    """End the execution and its tasks with CANCELED. What has ended stays as it is."""
    return tagged(response, await store.workflows.cancel(workflow_exec_id, reason=new.reason))


@workflows.post("/{workflow_exec_id}/events", status_code=201, response_model=ExecutionEvent)
async def append(workflow_exec_id: str, new: NewEvent, store: StoreHere) -> Event:
    """Append an event, such as a signal. With a `key` it is appended once, however often sent."""
    return await store.events.append(workflow_exec_id, new.kind, new.data, key=new.key)


@workflows.get("/{workflow_exec_id}/events", response_class=EventSourceResponse)
async def stream(
    workflow_exec_id: str, store: StoreHere, after: LastSeen
) -> AsyncIterator[ServerSentEvent]:
    """Send the events after a number as they come, until the execution has ended."""
    try:
        async for event in store.events.follow(workflow_exec_id, after=after):
            yield sent(event)
    except (NotFoundError, UnavailableError) as error:  # too late for a status: end the stream
        _log.warning("GET /workflows/%s/events: %s", workflow_exec_id, error)
