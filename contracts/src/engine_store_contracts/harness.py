"""What a driver's author implements for the suite: opening a database over and over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import engine_store
from engine_store.clock import Clock, utc_now
from engine_store.config import DatabaseConfig
from engine_store.drivers.discovery import load_driver
from engine_store.errors import EngineStoreError
from engine_store.models import Status
from engine_store.protocols import AsyncStore, Capability, Driver, Store
from engine_store.urls import parse_url
from engine_store_contracts.faces import Face
from engine_store_contracts.loops import Loops
from engine_store_contracts.patience import PATIENCE


class Harness(ABC):
    """One database, empty at first.

    Each case gets a harness of its own, or one that was emptied (see the fixture `reused`).

    `url` opens the same database from another process; None where no other process can.
    """

    url: str | None = None

    @abstractmethod
    def open(self, *, clock: Clock = utc_now) -> Store:
        """A store on the database. Called again, another one, also while the first is open.

        Where a database lasts no longer than its store, it is called once.
        """

    @abstractmethod
    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        """The same with the asynchronous face, for the running event loop."""

    def capabilities(self) -> Mapping[str, Capability]:
        """What the driver declares (see `engine_store.protocols.Capability`)."""
        return {}

    def empty(self, store: Store) -> None:
        """Delete every row, for a case that uses the database again; `store` is one on it.

        This way is open to every driver. Override it if yours has a quicker one, such as TRUNCATE.
        A database in which rows are left is not used again.
        """
        delete_everything(store)

    def close(self) -> None:  # noqa: B027 - many databases need no removal
        """Remove the database. The stores opened are closed by then."""

    def check(self) -> None:  # noqa: B027 - not every database can
        """Raise where the database's own check finds it damaged."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def delete_everything(store: Store) -> None:
    """Delete every row by the public API."""
    end_of_time = datetime.max.replace(tzinfo=UTC)
    store.workflows.purge(end_of_time, statuses=tuple(Status), batch_size=1000)
    for user in store.users.list(limit=1000).items:
        store.users.delete(user.user_id)


def driver_of(url: str) -> Driver:
    """Return the installed driver of a URL. Raises what `load_driver` raises."""
    return load_driver(parse_url(url).scheme)


def why_unreachable(url: str) -> str | None:
    """Why the driver cannot open a database of its own beside that of the URL, in one line."""
    try:
        with driver_of(url).scratch(url) as scratch, engine_store.open(scratch) as store:
            store.health()
    except EngineStoreError as error:
        return " ".join(str(error).split())
    return None


class UrlHarness(Harness):
    """The database of a URL, for a driver that is installed."""

    url: str

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, *, clock: Clock = utc_now) -> Store:
        return engine_store.open(self.url, clock=clock)

    async def open_async(self, *, clock: Clock = utc_now) -> AsyncStore:
        return await engine_store.open_async(self.url, clock=clock)

    def capabilities(self) -> Mapping[str, Capability]:
        return driver_of(self.url).capabilities(DatabaseConfig(url=self.url))


@contextmanager
def scratch_harness(url: str) -> Iterator[Harness]:
    """A harness of a database next to that of the URL, which the driver removes at the end."""
    with driver_of(url).scratch(url) as scratch, UrlHarness(scratch) as harness:
        yield harness


class Database:
    """A harness that opens stores of one face, for cases that are the same for both."""

    def __init__(self, harness: Harness, face: Face) -> None:
        self.harness = harness
        self.face = face
        self._loops = Loops()

    @property
    def url(self) -> str:
        """What another process opens it by."""
        assert self.harness.url is not None, "a harness of processes and migrations has a URL"
        return self.harness.url

    def open(self, *, clock: Clock = utc_now) -> Store:
        """A store on the database; its face is the synchronous one, whichever is behind it."""
        with PATIENCE.measure():
            if self.face is Face.SYNC:
                return self.harness.open(clock=clock)
            return self._loops.open(partial(self.harness.open_async, clock=clock))

    def open_with(self, *, clock: Clock = utc_now, **settings: Any) -> Store:
        """A store with these settings of the section `database`."""
        config = DatabaseConfig(url=self.url, **settings)
        if self.face is Face.SYNC:
            return engine_store.open(config, clock=clock)
        return self._loops.open(partial(engine_store.open_async, config, clock=clock))

    def reopen(self, store: Store, *, clock: Clock = utc_now) -> Store:
        """Close the store, and open another one in its place."""
        store.close()
        self._loops.forget(store)
        return self.open(clock=clock)

    def supports(self, capability: str) -> bool:
        """Whether the driver does not say that it cannot do this."""
        declared = self.harness.capabilities().get(capability)
        return declared is None or declared.supported

    def close(self) -> None:
        """End what this face has begun. The stores opened are closed by then."""
        self._loops.close()
