"""Operations say what the Protocols say, with `Op[T]` for a `T`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from engine_store.sql.store import (
    RepositoryClasses,
    SqlRepositories,
    SqlTransaction,
    repository_class,
)

from engine_store import protocols
from engine_store.clock import utc_now
from engine_store.errors import TransactionClosedError
from engine_store.sql.operation import (
    Invocation,
    Last,
    Mode,
    Op,
    Pause,
    Request,
    Step,
    mode_of,
    read,
)
from engine_store.sql.operations import (
    ApiKeyOperations,
    Context,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.rows import Codec, Rows
from engine_store.sql.statements import Queries, parse_statements

FACES = [
    pytest.param(operations, protocol, id=f"{protocol.__name__}")
    for operations, protocol in [
        (UserOperations, protocols.UserRepository),
        (UserOperations, protocols.AsyncUserRepository),
        (ApiKeyOperations, protocols.ApiKeyRepository),
        (ApiKeyOperations, protocols.AsyncApiKeyRepository),
        (WorkflowOperations, protocols.WorkflowRepository),
        (WorkflowOperations, protocols.AsyncWorkflowRepository),
        (TaskOperations, protocols.TaskRepository),
        (TaskOperations, protocols.AsyncTaskRepository),
    ]
]


def methods(cls: type) -> dict[str, Callable[..., Any]]:
    """The public methods of a class."""
    return {
        name: value
        for name, value in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any, Any]]:
    """Each parameter's name, kind, type, and whether it may be left out."""
    hints = get_type_hints(function)
    return [
        (name, parameter.kind, hints.get(name), parameter.default is not parameter.empty)
        for name, parameter in inspect.signature(function).parameters.items()
    ]


@pytest.mark.parametrize(("operations", "protocol"), FACES)
def test_operations_have_the_methods_of_the_protocol_and_no_others(
    operations: type, protocol: type
) -> None:
    assert methods(operations).keys() == methods(protocol).keys()


@pytest.mark.parametrize(("operations", "protocol"), FACES)
def test_operations_take_the_parameters_of_the_protocol(operations: type, protocol: type) -> None:
    for name, method in methods(protocol).items():
        assert parameters(getattr(operations, name)) == parameters(method), name


@pytest.mark.parametrize(("operations", "protocol"), FACES)
def test_where_the_protocol_says_a_default_operations_have_the_same(
    operations: type, protocol: type
) -> None:
    for name, method in methods(protocol).items():
        ours = inspect.signature(getattr(operations, name)).parameters
        for key, parameter in inspect.signature(method).parameters.items():
            if parameter.default not in (parameter.empty, ...):
                assert ours[key].default == parameter.default, (name, key)


@pytest.mark.parametrize(("operations", "protocol"), FACES)
def test_an_operation_is_a_generator_that_returns_what_the_protocol_returns(
    operations: type, protocol: type
) -> None:
    for name, method in methods(protocol).items():
        operation = getattr(operations, name)
        found = get_type_hints(operation)["return"]
        assert get_origin(found) is Generator, name
        yields, _, returns = get_args(found)
        assert returns == get_type_hints(method)["return"], name
        asks = Request | Last
        assert yields == (Step | Pause if mode_of(operation) is Mode.PROCEDURE else asks), name


def test_what_holds_a_row_is_marked_so_and_nothing_else() -> None:
    held = {
        f"{cls.__name__}.{name}"
        for cls in (UserOperations, ApiKeyOperations, WorkflowOperations, TaskOperations)
        for name, operation in methods(cls).items()
        if mode_of(operation) is Mode.LOCK
    }
    assert held == {"WorkflowOperations.get_for_update", "TaskOperations.get_for_update"}


# --- repositories made of operations -------------------------------------------------------------


def context(queries: Queries | None = None) -> Context:
    """What operations are made with, where no statement is ever run."""
    return Context(queries or Queries([]), Rows(Codec(str, lambda text: text, list)), utc_now)


class Runner:
    """Notes what a repository wants to be run."""

    def __init__(self) -> None:
        self.ran: list[tuple[Any, ...]] = []

    def __call__(self, invocation: Invocation) -> str:
        mode, name, operation, args, kwargs = invocation
        self.ran.append((mode, name, operation.__name__, args, kwargs))
        return f"result of {name}"


def test_a_repositorys_method_hands_its_operation_to_the_runner_with_all_arguments() -> None:
    runner = Runner()
    tasks = SqlRepositories[Any, Any, Any, Any](RepositoryClasses(context()), runner).tasks
    assert tasks.get("t", workflow_exec_id="w") == "result of tasks.get"
    assert tasks.modify("t", None) == "result of tasks.modify"
    assert runner.ran == [
        (Mode.READ, "tasks.get", "get", ("t",), {"workflow_exec_id": "w"}),
        (Mode.PROCEDURE, "tasks.modify", "modify", ("t", None), {}),
    ]


def test_a_repository_has_the_operations_and_nothing_private() -> None:
    made = repository_class(UserOperations(context()), "users")
    assert methods(made).keys() == methods(protocols.UserRepository).keys()
    assert made.__name__ == "UserOperations"


def test_each_repository_is_made_once() -> None:
    repositories = SqlRepositories[Any, Any, Any, Any](RepositoryClasses(context()), Runner())
    for name in ("users", "api_keys", "workflows", "tasks"):
        assert getattr(repositories, name) is getattr(repositories, name)


def test_a_driver_overrides_operations_by_subclasses() -> None:
    class Tasks(TaskOperations):
        @read
        def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> Op[Any]:
            yield self._q.mine()

    runner = Runner()
    classes = RepositoryClasses(context(), tasks=Tasks)
    repositories = SqlRepositories[Any, Any, Any, Any](classes, runner)
    repositories.tasks.get("t")
    ((_, name, *_),) = runner.ran
    assert name == "tasks.get"
    assert classes.tasks.__name__ == "Tasks"
    assert classes.users.__name__ == "UserOperations"


def test_a_transaction_runs_operations_until_it_ends() -> None:
    runner = Runner()
    transaction = SqlTransaction[Any, Any, Any, Any](RepositoryClasses(context()), runner)
    transaction.users.get("u")
    transaction.check_open()
    transaction.end()
    with pytest.raises(TransactionClosedError):
        transaction.users.get("u")
    with pytest.raises(TransactionClosedError):
        transaction.check_open()
    assert len(runner.ran) == 1


def test_arguments_are_checked_before_the_first_request() -> None:
    (statement,) = parse_statements("-- name: get_user :one\nSELECT 1")
    operations = UserOperations(context(Queries([statement])))
    with pytest.raises(ValueError, match="user_id"):
        next(operations.get(""))
    assert next(operations.get("u")) == statement(user_id="u")
