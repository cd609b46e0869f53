"""The application: its lifespan, who may call it, and its routes."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

import engine_store
from engine_store import TERMINAL, AsyncStore, Config, Page, Status, User, WorkflowState, new_id
from engine_store.keys import AsyncKeyChecker
from fastapi_app import errors
from fastapi_app.messages import (
    Execution,
    ExecutionPage,
    ExecutionWithTasks,
    HealthReport,
    NewStatus,
    NewWorkflow,
    Problem,
)

DEFAULT_STORE = "sqlite:///engine.db"
UNFINISHED = frozenset(Status) - TERMINAL


def configuration() -> Config:
    """What the environment configures; where it says nothing of a database, a file in this folder.

    Raises `ConfigurationError`.
    """
    said = ("ENGINE_STORE_DATABASE_", "ENGINE_STORE_CONFIG")
    if any(name.startswith(said) for name in os.environ):
        return engine_store.load()
    return engine_store.load(arguments={"database": {"url": DEFAULT_STORE}})


def create_app(config: Config | None = None) -> FastAPI:
    """The application on the store of `config`, by default that of the environment."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        # The store belongs to the event loop that opens it, so it is opened here. It is closed
        # when the last request was answered, and behind the checker, which may still write to it.
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
    """The store of the application."""
    store: AsyncStore = request.state.store
    return store


async def caller(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> User:
    """Whose API key came as `Authorization: Bearer ...`. Raises `InvalidKeyError`, as for none."""
    checker: AsyncKeyChecker = request.state.checker
    user, _ = await checker.check(given.credentials if given else "")
    return user


async def expected_version(if_match: Annotated[str | None, Header()] = None) -> int | None:
    """The version in `If-Match`; None for `*`, which is whatever is there."""
    if if_match is None:
        raise HTTPException(428, "If-Match is missing: the ETag as you read it, or * for any")
    if if_match == "*":
        return None
    if tag := re.fullmatch('"([0-9]{1,18})"', if_match):
        return int(tag[1])
    raise HTTPException(400, 'If-Match is neither one ETag, such as "3", nor *')


def tagged(response: Response, state: WorkflowState) -> WorkflowState:
    """`state`, with its version as the ETag of the response.

    The tag is for `If-Match`, and tells nothing of the tasks, which have versions of their own: so
    nobody may keep the answer and ask by the tag whether it still holds.
    """
    response.headers["ETag"] = errors.etag(state.version)
    response.headers["Cache-Control"] = "no-store"
    return state


StoreHere = Annotated[AsyncStore, Depends(store_of)]
ExpectedVersion = Annotated[int | None, Depends(expected_version)]


# --- routes ------------------------------------------------------------------------------------

health = APIRouter()
workflows = APIRouter(
    prefix="/workflows",
    dependencies=[Depends(caller)],
    responses={"4XX": {"model": Problem}, 503: {"model": Problem}},
)


@health.get("/health")
async def get_health(store: StoreHere, response: Response) -> HealthReport:
    """Whether the store reads and writes; 503 where not. No key is asked for, no more is told."""
    found = await store.health()
    response.status_code = 200 if found.ok else 503
    return HealthReport(reads=found.can_read, writes=found.can_write)


@workflows.post("", status_code=201, response_model=Execution)
async def create(new: NewWorkflow, store: StoreHere, response: Response) -> WorkflowState:
    """A new execution. Whoever names its id may send the request again: it is 409 then."""
    exec_id = str(new.workflow_exec_id or new_id())
    state = WorkflowState(exec_id, new.workflow_id, input=new.input)
    response.headers["Location"] = f"/workflows/{exec_id}"
    return tagged(response, await store.workflows.create(state))


@workflows.get("", response_model=ExecutionPage)
async def page(
    store: StoreHere, limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
) -> Page[WorkflowState]:
    """Executions, the newest first. `next_cursor` asks for the next page; the last has none."""
    return await store.workflows.list(limit=limit, cursor=cursor)


@workflows.get("/{workflow_exec_id}", response_model=ExecutionWithTasks)
async def get(workflow_exec_id: str, store: StoreHere, response: Response) -> WorkflowState:
    """An execution, and the latest execution of each of its tasks."""
    return tagged(response, await store.workflows.get(workflow_exec_id, with_tasks=True))


@workflows.post("/{workflow_exec_id}/status", response_model=Execution)
async def set_status(
    workflow_exec_id: str,
    new: NewStatus,
    version: ExpectedVersion,
    store: StoreHere,
    response: Response,
) -> WorkflowState:
    """Another status, if the version is the one in `If-Match`, and the execution has not ended."""
    state = await store.workflows.set_status(
        workflow_exec_id, new.status, expected_version=version, expected_statuses=UNFINISHED
    )
    return tagged(response, state)
