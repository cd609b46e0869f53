"""Databases to measure: new ones, and for a case two equal ones that hold the dataset.

Of the two, one is behind the store and one behind the bare module. The bare side runs what the
store runs: connections made as the driver makes its own, and the statements and parameters that
the store's own operations yield. They are made ready before the clock starts; what is timed is the
bare module alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from attrs import frozen

import engine_store
from benchmarks.data import Dataset
from engine_store.protocols import Store
from engine_store.sql.operation import Op
from engine_store.sql.operations import Bindings, TaskOperations, WorkflowOperations
from engine_store.sql.rows import Codec, Rows
from engine_store.sql.statements import Call, Queries

SQLITE, POSTGRES = "sqlite", "postgres"
"""The drivers."""

FINGERPRINT = """
SELECT count(*), sum(version), sum(length(CAST(input AS text))), sum(length(CAST(output AS text)))
FROM {tasks}
"""
"""Equal for databases that the same work was done in."""


@frozen
class Engine:
    """A database, and what is compared on it."""

    driver: str
    title: str
    """Name and version."""
    bare: str
    """The module that the store is compared with."""
    facts: Mapping[str, str]
    """What its figures depend on, beside the machine."""


@frozen
class Operations:
    """The operations whose statements the bare side runs."""

    tasks: TaskOperations
    workflows: WorkflowOperations

    @classmethod
    def of(cls, queries: Queries, codec: Codec) -> Operations:
        """Those of a driver."""
        bindings = Bindings(queries, Rows(codec), engine_store.utc_now)
        return cls(TaskOperations(bindings), WorkflowOperations(bindings))


class Ready(NamedTuple):
    """A statement with its parameters, as the bare module takes them."""

    query: Any
    parameters: Any
    one: bool


class Bare(Protocol):
    """A database behind nothing but the bare module."""

    def ready(self, call: Call) -> Ready:
        """What is to be executed for `call`."""
        ...

    def read(self, ready: Ready) -> object:
        """One statement that changes nothing."""
        ...

    def write(self, ready: Ready) -> object:
        """One statement, and its commit."""
        ...

    def transact(self, ready: Iterable[Ready]) -> object:
        """Statements in one transaction."""
        ...

    def fingerprint(self) -> object:
        """The answer to `FINGERPRINT`."""
        ...


class Databases(ABC):
    """A place for databases of one driver."""

    engine: Engine
    operations: Operations
    schema: str
    """Text that stands before the name of a table of the store."""

    @abstractmethod
    def new(self) -> AbstractContextManager[str]:
        """The URL of a new, empty database, which is gone afterwards."""

    @abstractmethod
    def multiply(self, url: str, copies: int) -> None:
        """Add so many copies of every workflow with its tasks, behind the back of the store.

        A copy has the ids of its original with `-1`, `-2` and so on behind them, and is older by
        so many seconds. The database knows afterwards what a server in use would know of its rows.
        """

    @abstractmethod
    def copy(self, url: str) -> AbstractContextManager[str]:
        """The URL of a copy of a database that nobody uses, which is gone afterwards."""

    @abstractmethod
    def rows(self, url: str, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, executed behind the back of the store."""

    @abstractmethod
    def repeat(self, url: str, table: str, key: str, copies: int) -> None:
        """Add so many copies of each row of a table, with `-1` and so on behind its `key`."""

    @abstractmethod
    def template(self) -> Dataset:
        """Make the database that `copies` are made of."""

    @abstractmethod
    def copies(self, *, durable: bool) -> AbstractContextManager[tuple[str, str]]:
        """The URLs of two databases that hold `dataset`, which are gone afterwards.

        Where not `durable`, a commit does not wait for the disk.
        """

    @abstractmethod
    def connect(self, url: str) -> AbstractContextManager[Bare]:
        """The bare module on one database, connected as the driver connects."""

    @cached_property
    def dataset(self) -> Dataset:
        """What every case starts from."""
        return self.template()

    @contextmanager
    def store(self) -> Iterator[Store]:
        """A store on a new database."""
        with self.new() as url, engine_store.open(url) as store:
            yield store

    @contextmanager
    def bench(self, *, durable: bool = True) -> Iterator[Bench]:
        """Both sides of a case, open."""
        dataset = self.dataset
        with ExitStack() as stack:
            ours, theirs = stack.enter_context(self.copies(durable=durable))
            store = stack.enter_context(engine_store.open(ours))
            bare = stack.enter_context(self.connect(theirs))
            yield Bench(self, dataset, ours, store, bare, stack)


@frozen
class Bench:
    """Both sides of a case. `stack` closes what a case adds."""

    databases: Databases
    dataset: Dataset
    """What both sides held before the case."""
    url: str
    """The store's."""
    store: Store
    bare: Bare
    stack: ExitStack

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.databases.engine

    @property
    def operations(self) -> Operations:
        """For `ready`."""
        return self.databases.operations

    def ready(self, op: Op[Any]) -> Ready:
        """What `op` asks of the database first, which is all it asks when nothing is refused."""
        call = next(op)
        assert isinstance(call, Call)
        return self.bare.ready(call)

    def check_same_work(self) -> None:
        """That both sides have left equal databases, so that what was compared is the same work."""
        theirs = self.bare.fingerprint()
        with self.databases.connect(self.url) as side:
            ours = side.fingerprint()
        if ours != theirs:
            raise RuntimeError(f"the two sides did different work: {ours}, {theirs}")
