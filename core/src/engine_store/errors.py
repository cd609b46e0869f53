"""Every error the store raises: what was expected, what was found, what to do next.

All derive from `EngineStoreError`. Their attributes are part of the contract, their text is not.
No error carries a secret: passwords in URLs are masked, keys and hashes are never quoted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from attrs import define, fields, frozen
from attrs import field as attrs_field

from engine_store.secrecy import without_api_key


@define(eq=False)
class EngineStoreError(Exception):
    """The base of every error raised by the store. `retriable`: the same call may yet succeed."""

    retriable: ClassVar[bool] = False
    text: ClassVar[str] = ""
    """Its text, a format of the error itself; without one, its fields are shown."""

    def __str__(self) -> str:
        if self.text:
            return self.text.format(self)
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(type(self)) if f.repr)
        return ", ".join(shown)


# --- values ------------------------------------------------------------------------------------


@define(eq=False)
class InvalidValueError(EngineStoreError, ValueError):
    """A value outside the value domain (contract 1), refused before the driver saw it.

    `path` leads to it from the argument, as in `task.input.items[3].score`; `reason` says what
    was expected and what was found.
    """

    path: str
    reason: str

    text = "{0.path}: {0.reason}"


# --- what is there and what is not -------------------------------------------------------------


@define(eq=False)
class NotFoundError(EngineStoreError, LookupError):
    """Nothing is stored under `key`. Raised as the entity's own subclass."""

    key: str = attrs_field(converter=without_api_key)
    field: str = "id"

    entity: ClassVar[str] = "entity"

    text = "no {0.entity} with {0.field} {0.key!r}"


class UserNotFoundError(NotFoundError):
    entity = "user"


class ApiKeyNotFoundError(NotFoundError):
    entity = "api key"


class WorkflowNotFoundError(NotFoundError):
    entity = "workflow execution"


class TaskNotFoundError(NotFoundError):
    entity = "task execution"


@define(eq=False)
class AlreadyExistsError(EngineStoreError):
    """`field` of the new `entity` is taken (contract 2.2); nothing was changed."""

    entity: str
    field: str
    key: str = attrs_field(converter=without_api_key)

    text = "{0.entity} with {0.field} {0.key!r} exists already"


class EmailExistsError(AlreadyExistsError):
    """Another user has this email, compared without regard to case (contract 4.1)."""


class AlreadyBootstrappedError(EngineStoreError):
    """There is an admin already, so no first one was made (contract 4.2)."""

    text = "an admin exists already; create further users as that admin"


class InvalidKeyError(EngineStoreError):
    """The presented key is no API key of the store; the reason is kept secret."""

    text = "this API key is not valid; present one that is, or ask an admin for a new one"


@define(eq=False)
class InvalidReferenceError(EngineStoreError):
    """`field` of `entity` names something that is not there, or not in the same workflow."""

    entity: str
    field: str
    key: str = attrs_field(converter=without_api_key)

    text = "{0.field} of the {0.entity} names {0.key!r}, which is not there"


# --- versions and guards -----------------------------------------------------------------------


@define(eq=False)
class VersionConflictError(EngineStoreError):
    """The stored version was not the expected one (contract 2.3); nothing was changed."""

    entity: str
    key: str
    expected: int
    actual: int

    text = (
        "{0.entity} {0.key!r} has version {0.actual}, not {0.expected}; "
        "read it again and apply the change to what is there now, or use modify()"
    )


@define(eq=False)
class StatusConflictError(EngineStoreError):
    """The stored status was not among the expected ones (contract 5.4); nothing was changed."""

    key: str
    # Sorted: a set's own order differs from process to process, and after a copy.
    expected: frozenset[str] = attrs_field(repr=lambda statuses: f"frozenset({sorted(statuses)})")
    actual: str

    def __str__(self) -> str:
        return f"{self.key!r} is {self.actual}, not one of {names(self.expected)}"


@define(eq=False)
class WaitTimeoutError(StatusConflictError):
    """The workflow had none of the expected statuses for so many seconds (contract 12.1)."""

    seconds: float
    retriable: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"after {self.seconds:g} s, {super().__str__()}; wait again, or find out who has it"


@define(eq=False)
class ClaimLostError(EngineStoreError):
    """The claim that `worker` had on a task has ended (contract 10.3); nothing was changed.

    `holder` is the worker that has the task now, and `status` is that of the task; None: there is
    none.
    """

    key: str
    worker: str
    holder: str | None
    status: str | None

    def __str__(self) -> str:
        if self.status is None:
            now = "the task is not there any more"
        elif self.holder is None:
            now = f"the task is {self.status}"
        else:
            now = f"{self.holder!r} has claimed it since"
        return (
            f"{self.worker!r} has lost its claim on task execution {self.key!r}: {now}. Drop the "
            "result; if the lease ended too early, claim with a longer one, or renew it in time"
        )


@define(eq=False)
class ImmutableFieldError(EngineStoreError):
    """`field` cannot change after creation (contract 2.8); nothing was changed."""

    entity: str
    key: str
    field: str

    text = "{0.field} of {0.entity} {0.key!r} never changes after creation"


@define(eq=False)
class WorkflowNotReadyError(EngineStoreError):
    """`complete` found root tasks that are not terminal: `unfinished` task ids, sorted."""

    key: str
    unfinished: tuple[str, ...]

    def __str__(self) -> str:
        return f"workflow execution {self.key!r} still waits for {', '.join(self.unfinished)}"


# --- transactions and life cycle ---------------------------------------------------------------


@define(eq=False)
class NotInTransactionError(EngineStoreError):
    """`operation` holds a row until its transaction ends, and there is no transaction."""

    operation: str

    text = "{0.operation} needs a transaction: with store.transaction() as tx: ..."


@define(eq=False)
class InTransactionError(EngineStoreError):
    """`operation` waits for others, who could be waiting for the transaction to end."""

    operation: str

    text = (
        "{0.operation} waits for what others write, and they may wait for this transaction; call "
        "it on the store, outside of transactions"
    )


@define(eq=False)
class ReadOnlyError(EngineStoreError):
    """The store was opened with `read_only`, and `operation` writes; nothing was touched."""

    operation: str

    text = (
        "{0.operation} writes, and the store was opened with read_only; nothing was touched. Open "
        "the store without read_only to write"
    )


class TransactionClosedError(EngineStoreError):
    """The transaction has ended, or belongs to another thread (contract 3.5 and 9.1)."""

    text = "this transaction has ended or belongs to another thread; start one of your own"


class StoreClosedError(EngineStoreError):
    """The store was closed (contract 9.1)."""

    text = "the store is closed; open it again"


@define(eq=False)
class UnavailableError(EngineStoreError):
    """The database could not serve the call now: lost, busy, timed out, full (contract 9.2).

    `retriable` is true when the same call may succeed later without anybody's help.
    """

    reason: str
    retriable: bool = True  # type: ignore[misc]  # narrows the class variable to each instance

    def __str__(self) -> str:
        return self.reason


@define(eq=False)
class DatabaseError(EngineStoreError):
    """The database refused a statement, and no clause says why it could (contract 9.2).

    `reason` has the first line of the database's words, with the class and the code of its error,
    which is the `__cause__`.
    """

    product: str
    reason: str

    text = (
        "{0.product} refused a statement: {0.reason}. If `engine-store migrate verify` finds the "
        "schema as it should be, it is a bug"
    )


@define(eq=False)
class DamagedRowError(EngineStoreError):
    """A stored value cannot be read: the database is damaged, or was changed by other means.

    `column` of `table` should hold what `expected` says, in the row whose id is `key`; None: no
    single row was read, or its id is damaged, too. A write that meets such a value may have been
    made, or not.
    """

    table: str
    key: str | None
    column: str
    expected: str

    def __str__(self) -> str:
        row = "a row" if self.key is None else f"row {self.key!r}"
        return (
            f"{self.column} in {row} of {self.table} cannot be read: expected {self.expected}. The "
            "database is damaged, or was changed by other means: check it (PRAGMA integrity_check "
            "in SQLite, pg_amcheck for PostgreSQL), then restore a backup or mend the value"
        )


# --- configuration and drivers -----------------------------------------------------------------


@frozen
class Problem:
    """One mistake in a configuration: where it is, and what was expected there.

    `source` says where the value comes from: a file, a variable of the environment, an argument.
    """

    path: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.path}{f' ({self.source})' if self.source else ''}: {self.message}"


@define(eq=False)
class ConfigurationError(EngineStoreError):
    """`field` of the configuration cannot be used. Nothing was opened.

    Where several mistakes are known, `problems` has each, and `reason` all of them.
    """

    field: str
    reason: str
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, field: str, problems: Sequence[Problem]) -> ConfigurationError:
        """The error for these problems; `field` is their common place."""
        return cls(field, "; ".join(map(str, problems)), tuple(problems))

    def __str__(self) -> str:
        return self.reason if self.problems else f"{self.field}: {self.reason}"


@define(eq=False)
class UnknownDriverError(EngineStoreError):
    """No installed distribution offers a driver of this name or URL scheme."""

    driver: str
    installed: Sequence[str] = ()
    remedy: str = ""

    def __str__(self) -> str:
        known = ", ".join(self.installed) or "none"
        return f"no driver named {self.driver!r} (installed: {known}). {self.remedy}".rstrip()


@define(eq=False)
class DriverLoadError(EngineStoreError):
    """A driver is installed but cannot be loaded; `distribution` is the one to mend."""

    driver: str
    distribution: str
    reason: str
    remedy: str

    text = "driver {0.driver!r} of {0.distribution} cannot be loaded: {0.reason}. {0.remedy}"


@define(eq=False)
class MissingExtraError(EngineStoreError):
    """What was asked for needs `package`, which the `extra` of engine-store brings."""

    extra: str
    package: str

    def __str__(self) -> str:
        return f'{self.package} is not installed: pip install "engine-store[{self.extra}]"'


# --- export, import and copy -------------------------------------------------------------------


@define(eq=False)
class TransferError(EngineStoreError):
    """An export, import or copy stopped; `remedy` says what stays and how to go on.

    `line` is that of the file, for a copy the one that the row would have in a file; None where
    it is not about a line.
    """

    line: int | None
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return f"{where}expected {self.expected}, found {self.found}. {self.remedy}"


class InvalidExportError(TransferError):
    """The file is no whole and unchanged export; nothing was written."""


class NotEmptyError(TransferError):
    """There are rows in the target, and nothing was said about them; nothing was written."""


class MismatchError(TransferError):
    """What was read again at the end differs from what came; the rows stay."""


# --- the database file and its schema ----------------------------------------------------------


@define(eq=False)
class ForeignDatabaseError(EngineStoreError):
    """What `location` holds is no database of engine-store; it was not touched (contract 8.4)."""

    location: str
    found: str

    text = (
        "{0.location} holds {0.found}, not an engine-store database; it was left as "
        "it is. Name another place, or move it away"
    )


@define(eq=False)
class SchemaError(EngineStoreError):
    """The base of the errors about the schema; nothing was changed."""


@define(eq=False)
class SchemaAheadError(SchemaError):
    """The database was migrated by newer code than this (contract 8.4)."""

    database: int
    code: int

    text = (
        "the database has schema {0.database}, this code knows up to {0.code}; "
        "upgrade the driver's distribution"
    )


@define(eq=False)
class SchemaBehindError(SchemaError):
    """Steps are missing and auto-migration is off (contract 8.4)."""

    database: int
    code: int

    def __str__(self) -> str:
        there, first = f"the database has schema {self.database}, ", ""
        if not self.database:  # as where a path has a slip
            there, first = "there is no schema yet, ", "see that it is the database you mean, then "
        return (
            f"{there}this code needs {self.code}; {first}run `engine-store migrate up` or "
            "store.migrator.up(), or open it with auto_migrate=True"
        )


@define(eq=False)
class MigrationDriftError(SchemaError):
    """Applied steps differ from this code's files, or the schema from what they make."""

    differences: Sequence[str]

    def __str__(self) -> str:
        return (
            f"the database drifted from its migrations: {'; '.join(self.differences)}. Restore "
            "the original migration files or the schema; an applied step is never edited"
        )


@define(eq=False)
class MigrationLockError(SchemaError):
    """The migration lock was not free within `timeout` seconds (contract 8.2)."""

    timeout: float
    retriable: ClassVar[bool] = True

    def __str__(self) -> str:
        return (
            f"another process held the migration lock for {self.timeout:g} s; no step was run. "
            "Wait for it to finish, or raise migration_timeout"
        )


def names(values: Collection[str]) -> str:
    """`values` sorted and joined, for an error's text."""
    return ", ".join(sorted(values))
