"""The page of troubleshooting has every error, and quotes what each of them really says."""

from __future__ import annotations

import re

import attrs
import pytest

from engine_store import errors
from engine_store.cli.app import code_of
from engine_store.errors import (
    AlreadyBootstrappedError,
    AlreadyExistsError,
    ApiKeyNotFoundError,
    ClaimLostError,
    ConfigurationError,
    DamagedRowError,
    DatabaseError,
    DriverLoadError,
    EmailExistsError,
    EngineStoreError,
    ForeignDatabaseError,
    ImmutableFieldError,
    InTransactionError,
    InvalidExportError,
    InvalidKeyError,
    InvalidReferenceError,
    InvalidValueError,
    MigrationDriftError,
    MigrationLockError,
    MismatchError,
    MissingExtraError,
    NotEmptyError,
    NotFoundError,
    NotInTransactionError,
    Problem,
    ReadOnlyError,
    SchemaAheadError,
    SchemaBehindError,
    SchemaError,
    StatusConflictError,
    StoreClosedError,
    TaskNotFoundError,
    TransactionClosedError,
    TransferError,
    UnavailableError,
    UnknownDriverError,
    UserNotFoundError,
    VersionConflictError,
    WaitTimeoutError,
    WorkflowNotFoundError,
    WorkflowNotReadyError,
)

AGAIN = "Get the file again from where it came from, or export again; nothing was written"
GO_ON = (
    "It was not there when its workflow was read: were there writers? What was committed stays; "
    'mend it and go on with existing="skip"'
)

EXAMPLES = (
    InvalidValueError("task.input.items[3].score", "expected a finite float, found nan"),
    NotFoundError("x"),
    UserNotFoundError("ada@example.org", "email"),
    ApiKeyNotFoundError("es_k3x9q7m2t8ab", "prefix"),
    WorkflowNotFoundError("w-1"),
    TaskNotFoundError("t-1"),
    AlreadyExistsError("workflow execution", "workflow_exec_id", "w-1"),
    EmailExistsError("user", "email", "ada@example.org"),
    AlreadyBootstrappedError(),
    InvalidKeyError(),
    InvalidReferenceError("task execution", "parent_state_id", "t-0"),
    VersionConflictError("task execution", "t-1", expected=1, actual=2),
    StatusConflictError("w-1", frozenset({"PENDING", "RUNNING"}), "CANCELED"),
    WaitTimeoutError("w-1", frozenset({"FAILED", "SUCCESS"}), "RUNNING", 30),
    ClaimLostError("t-1", "worker-1", "worker-2", "RUNNING"),
    ImmutableFieldError("task execution", "t-1", "created_at"),
    WorkflowNotReadyError("w-1", ("draft", "review")),
    NotInTransactionError("workflows.get_for_update"),
    InTransactionError("workflows.wait"),
    TransactionClosedError(),
    StoreClosedError(),
    UnavailableError(
        "all 8 connections were busy for 10 s; try again, raise pool_max_size, or keep "
        "transactions short"
    ),
    DatabaseError("SQLite", "no such table: main.users (OperationalError 1)"),
    ReadOnlyError("workflows.create"),
    DamagedRowError("tasks", "fetch-2", "input", "a JSON object"),
    ConfigurationError.of(
        "configuration",
        [
            Problem("database.busy_timeout", "expected 0 to 86400 seconds", "engine.yaml"),
            Problem("worker.max_concurrent_workflows", "expected 1 or more", "engine.yaml"),
        ],
    ),
    UnknownDriverError(
        "mysql",
        ("memory", "postgres", "postgresql", "sqlite"),
        "Check the URL's scheme, or install the distribution that offers this driver",
    ),
    DriverLoadError(
        "postgresql",
        "engine-store-postgres",
        "ImportError: no pq wrapper available",
        'Install it again: pip install --force-reinstall "engine-store[postgres]"',
    ),
    MissingExtraError("otel", "opentelemetry-api"),
    TransferError(7, "the parent 't-0' of task 't-1' in the same workflow", "no such task", GO_ON),
    InvalidExportError(2, "a whole line", "one that is cut off", AGAIN),
    NotEmptyError(
        None,
        "a store without rows",
        "users",
        'Name an empty store, or leave what is there as it is with existing="skip"',
    ),
    MismatchError(
        None,
        "user 1, api_key 0, workflow 3, task 3, checksum 21f3c0d4a9be",
        "user 1, api_key 0, workflow 4, task 3, checksum 8d0f6b1c7e52",
        "The rows stay. Did another process write meanwhile? Compare both, or do it again",
    ),
    ForeignDatabaseError("/var/lib/engine/engine.db", "the database of another program"),
    SchemaAheadError(database=4, code=3),
    SchemaBehindError(database=2, code=3),
    MigrationDriftError(("step 3 was applied as 'tasks' with another checksum",)),
    MigrationLockError(timeout=60),
)
BASES = (EngineStoreError(), SchemaError())
"""They are never raised themselves, and say nothing."""

EVERY_ERROR = pytest.mark.parametrize(
    "error", [*EXAMPLES, *BASES], ids=lambda error: type(error).__name__
)


@pytest.fixture
def entries(troubleshooting):
    """What the page says of each error, by the name of its class."""
    return troubleshooting[1]


@pytest.fixture
def entry(entries, error):
    """What it says of the error of the test."""
    return entries[type(error).__name__]


def public_errors() -> list[str]:
    """The names of the errors in the order of their module."""
    return [
        name
        for name, member in vars(errors).items()
        if isinstance(member, type) and issubclass(member, EngineStoreError)
    ]


def test_every_error_has_an_entry_and_every_entry_an_error_in_the_order_of_the_module(entries):
    assert list(entries) == public_errors()


def test_every_error_is_in_this_test():
    assert {type(error).__name__ for error in (*EXAMPLES, *BASES)} == set(public_errors())


@EVERY_ERROR
def test_an_entry_begins_with_what_the_error_really_says(entry, error):
    assert entry.quotes[:1] == ([str(error)] if str(error) else [])


@EVERY_ERROR
def test_an_entry_has_the_fields_of_the_error(entry, error):
    [stated] = re.findall(r"^(?:No fields|Fields: (.*?))\. ", entry.text, re.MULTILINE)
    assert re.findall(r"`(\w+)`", stated) == [field.name for field in attrs.fields(type(error))]


@EVERY_ERROR
def test_an_entry_says_whether_the_same_call_may_succeed_later(entry, error):
    [stated] = re.findall(r" Retriable: ([\w ]+)\.", entry.text)
    of_each = "retriable" in attrs.fields_dict(type(error))
    assert stated == ("as it says" if of_each else "yes" if error.retriable else "no")


@EVERY_ERROR
def test_the_exit_code_of_an_entry_is_that_of_the_command(entry, error):
    assert re.findall(r" Exit code: (\d)\.", entry.text) in ([], [str(code_of(error))])
