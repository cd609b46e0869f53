"""Operations and repositories say what the Protocols say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from engine_store import protocols
from engine_store.clock import utc_now
from engine_store.errors import InvalidValueError, TransactionClosedError
from engine_store.sql import repositories
from engine_store.sql.operation import Invocation, Last, Mode, Op, Pause, Request, mode_of, read
from engine_store.sql.operations import (
    ApiKeyOperations,
    Bindings,
    EventOperations,
    TaskOperations,
    UserOperations,
    WorkflowOperations,
)
from engine_store.sql.repositories import OperationSet, SqlRepositories
from engine_store.sql.rows import Codec, Rows
from engine_store.sql.statements import Queries, parse_statements
from engine_store.sql.transactions import SqlTransaction
from engine_store_sqlite.driver import DIALECT

OPERATIONS = {
    "User": UserOperations,
    "ApiKey": ApiKeyOperations,
    "Workflow": WorkflowOperations,
    "Task": TaskOperations,
    "Event": EventOperations,
}
WAITS = {"wait", "follow"}
"""Methods, as `claim` is by its argument `wait`, above operations: between looks they sleep."""

LOOKS = {"status_of", "history"}
"""Their operations."""

BOTH_SIDES = [
    pytest.param(
        operations,
        getattr(repositories, f"{side}Sql{name}Repository"),
        getattr(protocols, f"{side}{name}Repository"),
        id=f"{side}{name}",
    )
    for name, operations in OPERATIONS.items()
    for side in ("", "Async")
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


@pytest.mark.parametrize(("operations", "repository", "protocol"), BOTH_SIDES)
def test_operations_have_the_methods_and_parameters_of_the_protocol(
    operations: type, repository: type, protocol: type
) -> None:
    looks, waits = LOOKS & methods(operations).keys(), WAITS & methods(protocol).keys()
    assert methods(operations).keys() - looks == methods(protocol).keys() - waits
    for name, method in methods(protocol).items():
        if name in waits:
            continue
        operation = getattr(operations, name)
        expected = [found for found in parameters(method) if found[0] != "wait"]
        assert parameters(operation) == expected, name
        ours = inspect.signature(operation).parameters
        for key, parameter in inspect.signature(method).parameters.items():
            if parameter.default not in (parameter.empty, ...) and key != "wait":
                assert ours[key].default == parameter.default, (name, key)


@pytest.mark.parametrize(("operations", "repository", "protocol"), BOTH_SIDES)
def test_an_operation_is_a_generator_that_returns_what_the_protocol_returns(
    operations: type, repository: type, protocol: type
) -> None:
    for name, method in methods(protocol).items():
        if name in WAITS:
            continue
        operation = getattr(operations, name)
        found = get_type_hints(operation)["return"]
        assert get_origin(found) is Generator, name
        yields, _, returns = get_args(found)
        assert returns == get_type_hints(method)["return"], name
        steps = mode_of(operation) is Mode.STEPS
        assert yields == (Invocation | Pause if steps else Request | Last), name


@pytest.mark.parametrize(("operations", "repository", "protocol"), BOTH_SIDES)
def test_a_repository_has_the_methods_of_the_protocol_with_its_texts_and_signatures(
    operations: type, repository: type, protocol: type
) -> None:
    assert methods(repository).keys() == methods(protocol).keys()
    for name, promised in methods(protocol).items():
        method = vars(repository)[name]
        assert method.__name__ == name, "else it would run another operation"
        assert method.__qualname__ == f"{repository.__name__}.{name}"
        assert method.__doc__ == promised.__doc__
        assert inspect.signature(method) == inspect.signature(promised)


def test_what_holds_a_row_is_marked_so_and_nothing_else() -> None:
    held = {
        f"{name}.{method}"
        for name, operations in OPERATIONS.items()
        for method, operation in methods(operations).items()
        if mode_of(operation) is Mode.LOCK
    }
    assert held == {"Workflow.get_for_update", "Task.get_for_update"}


# --- repositories made of operations -------------------------------------------------------------


def bindings(queries: Queries | None = None) -> Bindings:
    """What operations are made with, where no statement is ever run."""
    return Bindings(queries or Queries([]), Rows(Codec(str, lambda text: text, list)), utc_now)


def operations_of_nothing() -> OperationSet:
    return OperationSet.of(DIALECT, Queries([]), utc_now)


class Runner:
    """Notes what a repository wants to be run."""

    def __init__(self) -> None:
        self.ran: list[Invocation] = []

    async def run(self, invocation: Invocation) -> str:
        self.ran.append(invocation)
        return f"result of {invocation.name}"


def test_a_repositorys_method_hands_its_operation_to_the_runner_with_all_arguments() -> None:
    runner = Runner()
    operations = operations_of_nothing()
    tasks: Any = SqlRepositories(operations, runner).tasks
    assert tasks.get("t", workflow_exec_id="w") == "result of tasks.get"
    assert tasks.modify("t", None) == "result of tasks.modify"
    assert runner.ran == [
        (Mode.READ, operations.tasks.get, ("t",), {"workflow_exec_id": "w"}),
        (Mode.STEPS, operations.tasks.modify, ("t", None), {}),
    ]


def test_each_repository_is_made_once() -> None:
    made = SqlRepositories(operations_of_nothing(), Runner())
    for name in ("users", "api_keys", "workflows", "tasks"):
        assert getattr(made, name) is getattr(made, name)


def test_a_driver_overrides_operations_by_subclasses() -> None:
    class Tasks(TaskOperations):
        @read
        def get(self, task_exec_id: str, *, workflow_exec_id: str | None = None) -> Op[Any]:
            yield self._q.mine()

    of = bindings()
    runner = Runner()
    operations = OperationSet(
        UserOperations(of),
        ApiKeyOperations(of),
        WorkflowOperations(of),
        Tasks(of),
        EventOperations(of),
    )
    SqlRepositories(operations, runner).tasks.get("t")
    assert runner.ran[0].operation == operations.tasks.get
    assert runner.ran[0].name == "tasks.get"


def test_a_transaction_runs_operations_until_it_ends() -> None:
    runner: Any = Runner()
    transaction = SqlTransaction(operations_of_nothing(), runner)
    transaction.users.get("u")
    transaction.end()
    with pytest.raises(TransactionClosedError):
        transaction.users.get("u")
    assert len(runner.ran) == 1


def test_arguments_are_checked_before_the_first_request() -> None:
    (statement,) = parse_statements("-- name: get_user :one\nSELECT 1")
    operations = UserOperations(bindings(Queries([statement])))
    with pytest.raises(InvalidValueError, match="user_id"):
        next(operations.get(""))
    assert next(operations.get("u")) == statement(user_id="u")
