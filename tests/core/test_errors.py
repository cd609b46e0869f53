"""The errors: one base, useful texts, and whole after a trip through pickle."""

from __future__ import annotations

import copy
import inspect
import pickle

import attrs
import pytest

from engine_store import errors
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
    names,
)

TEXTS = {
    InvalidValueError("task.input.a[3]", "expected a finite float, found nan"): (
        "task.input.a[3]: expected a finite float, found nan"
    ),
    UserNotFoundError("ada@b", field="email"): "no user with email 'ada@b'",
    ApiKeyNotFoundError("k"): "no api key with id 'k'",
    WorkflowNotFoundError("we"): "no workflow execution with id 'we'",
    TaskNotFoundError("te"): "no task execution with id 'te'",
    NotFoundError("x"): "no entity with id 'x'",
    AlreadyExistsError("user", "user_id", "u"): "user with user_id 'u' exists already",
    EmailExistsError("user", "email", "a@b"): "user with email 'a@b' exists already",
    AlreadyBootstrappedError(): (
        "an admin exists already; create further users as that admin"
    ),
    InvalidKeyError(): (
        "this API key is not valid; present one that is, or ask an admin for a new one"
    ),
    InvalidReferenceError("task execution", "parent_state_id", "p"): (
        "parent_state_id of the task execution names 'p', which is not there"
    ),
    VersionConflictError("user", "u", expected=1, actual=2): (
        "user 'u' has version 2, not 1; read it again and apply the change to what is there now, "
        "or use modify()"
    ),
    StatusConflictError("we", frozenset({"RUNNING", "PAUSED"}), "FAILED"): (
        "'we' is FAILED, not one of PAUSED, RUNNING"
    ),
    WaitTimeoutError("we", frozenset({"SUCCESS"}), "RUNNING", 2.5): (
        "after 2.5 s, 'we' is RUNNING, not one of SUCCESS; wait again, or find out who has it"
    ),
    ClaimLostError("te", "ann", "bob", "RUNNING"): (
        "'ann' has lost its claim on task execution 'te': 'bob' has claimed it since. Drop the "
        "result; if the lease ended too early, claim with a longer one, or renew it in time"
    ),
    ImmutableFieldError("task execution", "te", "created_at"): (
        "created_at of task execution 'te' never changes after creation"
    ),
    WorkflowNotReadyError("we", ("a", "b")): "workflow execution 'we' still waits for a, b",
    NotInTransactionError("get_for_update"): (
        "get_for_update needs a transaction: with store.transaction() as tx: ..."
    ),
    InTransactionError("events.wait"): (
        "events.wait waits for what others write, and they may wait for this transaction; call it "
        "on the store, outside of transactions"
    ),
    TransactionClosedError(): (
        "this transaction has ended or belongs to another thread; start one of your own"
    ),
    StoreClosedError(): "the store is closed; open it again",
    UnavailableError("the disk is full", retriable=False): "the disk is full",
    DatabaseError("SQLite", "no such table: users (OperationalError 1)"): (
        "SQLite refused a statement: no such table: users (OperationalError 1). If `engine-store "
        "migrate verify` finds the schema as it should be, it is a bug"
    ),
    ReadOnlyError("users.create"): (
        "users.create writes, and the store was opened with read_only; nothing was touched. Open "
        "the store without read_only to write"
    ),
    DamagedRowError("tasks", "t", "input", "a JSON object"): (
        "input in row 't' of tasks cannot be read: expected a JSON object. The database is "
        "damaged, or was changed by other means: check it (PRAGMA integrity_check in SQLite, "
        "pg_amcheck for PostgreSQL), then restore a backup or mend the value"
    ),
    DamagedRowError("tasks", None, "task_exec_id", "text"): (
        "task_exec_id in a row of tasks cannot be read: expected text. The database is damaged, "
        "or was changed by other means: check it (PRAGMA integrity_check in SQLite, pg_amcheck "
        "for PostgreSQL), then restore a backup or mend the value"
    ),
    ConfigurationError("url", "expected scheme://..."): "url: expected scheme://...",
    UnknownDriverError("x", ("a", "b"), "Install it."): (
        "no driver named 'x' (installed: a, b). Install it."
    ),
    DriverLoadError("x", "x-driver", "ImportError: y", "Install it again"): (
        "driver 'x' of x-driver cannot be loaded: ImportError: y. Install it again"
    ),
    MissingExtraError("otel", "opentelemetry-api"): (
        'opentelemetry-api is not installed: pip install "engine-store[otel]"'
    ),
    ForeignDatabaseError("engine.db", "a file that is no database"): (
        "engine.db holds a file that is no database, not an engine-store database; it was left "
        "as it is. Name another place, or move it away"
    ),
    SchemaAheadError(database=3, code=2): (
        "the database has schema 3, this code knows up to 2; upgrade the driver's distribution"
    ),
    SchemaBehindError(database=1, code=2): (
        "the database has schema 1, this code needs 2; run `engine-store migrate up` or "
        "store.migrator.up(), or open it with auto_migrate=True"
    ),
    SchemaBehindError(database=0, code=2): (
        "there is no schema yet, this code needs 2; see that it is the database you mean, then run "
        "`engine-store migrate up` or store.migrator.up(), or open it with auto_migrate=True"
    ),
    MigrationDriftError(("step 1 was skipped", "step 2 was skipped")): (
        "the database drifted from its migrations: step 1 was skipped; step 2 was skipped. "
        "Restore the original migration files or the schema; an applied step is never edited"
    ),
    MigrationLockError(timeout=2.5): (
        "another process held the migration lock for 2.5 s; no step was run. Wait for it to "
        "finish, or raise migration_timeout"
    ),
    TransferError(7, "a row", "none", "Go on"): "line 7: expected a row, found none. Go on",
    InvalidExportError(1, "a header", "nothing", "Export again"): (
        "line 1: expected a header, found nothing. Export again"
    ),
    NotEmptyError(None, "a store without rows", "users", "Name another"): (
        "expected a store without rows, found users. Name another"
    ),
    MismatchError(None, "user 1", "user 2", "The rows stay"): (
        "expected user 1, found user 2. The rows stay"
    ),
}  # fmt: skip
BASES = {EngineStoreError, SchemaError}

ERRORS = pytest.mark.parametrize("error", TEXTS, ids=lambda error: type(error).__name__)


def public_classes() -> set[type[BaseException]]:
    return {
        member
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, BaseException) and not name.startswith("_")
    }


def facts(error: EngineStoreError) -> dict[str, object]:
    """All that is to be known of an error."""
    fields = {field.name: getattr(error, field.name) for field in attrs.fields(type(error))}
    return {
        "class": type(error),
        "fields": fields,
        "args": error.args,
        "text": str(error),
        "repr": repr(error),
        "retriable": error.retriable,
    }


def test_every_error_derives_from_the_one_base():
    for found in public_classes():
        assert issubclass(found, EngineStoreError)


def test_every_error_is_in_this_test():
    assert {type(error) for error in TEXTS} == public_classes() - BASES


@ERRORS
def test_the_text_of_an_error_says_what_was_expected_and_what_was_found(error):
    assert str(error) == TEXTS[error]


@ERRORS
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_is_whole_after_a_trip_through_pickle(error, protocol):
    assert facts(pickle.loads(pickle.dumps(error, protocol))) == facts(error)


@ERRORS
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_an_error_can_be_copied(error, duplicate):
    copied = duplicate(error)
    assert copied is not error
    assert facts(copied) == facts(error)


@ERRORS
def test_two_errors_alike_are_still_two(error):
    assert error != copy.copy(error)
    assert error == error
    assert len({error, copy.copy(error)}) == 2


@ERRORS
def test_an_error_can_be_raised_caught_and_annotated(error):
    with pytest.raises(EngineStoreError) as caught:
        try:
            raise copy.copy(error)
        except EngineStoreError as seen:
            seen.add_note("while closing the day")
            raise
    assert caught.value.__notes__ == ["while closing the day"]
    assert caught.value.__traceback__ is not None


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(InvalidValueError("x", "y"), ValueError), (TaskNotFoundError("te"), LookupError)],
)
def test_an_error_may_be_caught_as_the_builtin_it_is(error, builtin):
    assert isinstance(error, builtin)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        *((kind, NotFoundError) for kind in NotFoundError.__subclasses__()),
        (EmailExistsError, AlreadyExistsError),
        (SchemaAheadError, SchemaError),
        (SchemaBehindError, SchemaError),
        (MigrationDriftError, SchemaError),
        (MigrationLockError, SchemaError),
    ],
)
def test_an_error_may_be_caught_by_its_family(narrow, wide):
    assert issubclass(narrow, wide)


def test_only_what_may_yet_succeed_is_retriable():
    retriable = {type(error) for error in TEXTS if error.retriable}
    assert retriable == {MigrationLockError, WaitTimeoutError}
    assert UnavailableError("busy").retriable is True
    assert UnavailableError("gone", retriable=False).retriable is False
    assert EngineStoreError().retriable is False


@pytest.mark.parametrize("base", sorted(BASES, key=lambda kind: kind.__name__))
def test_a_base_shows_the_fields_of_errors_that_have_no_text_of_their_own(base):
    @attrs.define(eq=False)
    class Own(base):
        place: str
        size: int

    assert str(Own("here", 3)) == "place='here', size=3"
    assert str(base()) == ""


def test_an_unknown_driver_without_a_remedy_ends_with_a_stop():
    assert str(UnknownDriverError("x")) == "no driver named 'x' (installed: none)."


def test_the_repr_of_a_status_conflict_does_not_depend_on_the_order_of_a_set():
    error = StatusConflictError("we", frozenset({"RUNNING", "PAUSED"}), "FAILED")
    assert repr(error) == (
        "StatusConflictError(key='we', expected=frozenset(['PAUSED', 'RUNNING']), actual='FAILED')"
    )


def test_names_are_sorted_and_joined():
    assert names({"b", "a", "c"}) == "a, b, c"
    assert names([]) == ""
