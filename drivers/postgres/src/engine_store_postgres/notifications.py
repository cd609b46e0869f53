"""Notifications between processes: one connection that listens for all waiters of a store.

`NOTIFY` in a transaction takes a lock of the whole server at its commit, so that writers queue. So
what was written is told afterwards, in one statement for all of some milliseconds, and only if
another process waits: waiters hold an advisory lock, and a writer looks for it once a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from contextlib import suppress
from uuid import uuid4

import psycopg

from engine_store.errors import EngineStoreError
from engine_store.sql import forks
from engine_store.sql.statements import Call
from engine_store.waiting.notifier import Notifier, Watch
from engine_store_postgres.migrator import PostgresMigrator

LISTEN_FOR = 0.2
"""Seconds of a wait for notifications, after which the listener looks if it is still needed."""

LINGER = 5.0
"""Seconds for which it listens after the last waiter left: a worker soon waits again."""

KNOWN_FOR = 1.0
"""Seconds for which a writer takes it for known whether somebody waits."""

TOGETHER = 0.003
"""Seconds between two notifications; what is written meanwhile is told by one."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to listen, as on a standby, which cannot; waiters look meanwhile."""

MAX_PAYLOAD = 7_900
"""Bytes of a payload; PostgreSQL takes less than 8,000."""

_ERRORS = (psycopg.Error, EngineStoreError, OSError)
"""What a hint may meet. Waiters and writers meet the same, and report it."""


class Notifications(forks.Forkable):
    """`engine_store.waiting.notifier.Source` of one schema.

    Behind PgBouncer, which shares a server's sessions, nothing listens; others are told.
    """

    publishes = True

    def __init__(self, migrator: PostgresMigrator, notifier: Notifier) -> None:
        """Hints for `notifier`, and for other processes, with the statements of `migrator`."""
        self._pool = migrator.pool
        self._migrator = migrator
        self._notifier = notifier
        self._listening = migrator.pool.background(self._listen)
        self._telling = migrator.pool.background(self._tell)
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._token = uuid4().hex
        self._own = 0
        self._pending: set[str] = set()
        self._bell = Watch(self._notifier, ())
        self._looked_at = -KNOWN_FOR
        self._somebody_waits = False

    def listen(self) -> None:
        if not self._pool.options.pgbouncer:
            self._listening.start()

    def publish(self, topics: Collection[str]) -> None:
        if not self._somebody_waits and time.monotonic() - self._looked_at < KNOWN_FOR:
            return
        self._pending.update(topics)
        self._bell.hint()
        self._telling.start()

    async def close(self) -> None:
        """Tell what was written last, and end."""
        self._bell.hint()
        await self._telling.stop()
        await self._listening.stop()
        with suppress(*_ERRORS, RuntimeError):  # the loop of the connections may have ended
            await self._tell_pending()

    def after_fork_in_child(self) -> None:
        self._listening.forget()
        self._telling.forget()
        self._begin()

    # --- what others write -----------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while not self._may_end():
            with suppress(*_ERRORS):
                await self._listen_on_connection()
                pause = FIRST_PAUSE
                continue
            await self._pool.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen_on_connection(self) -> None:
        connection = await self._pool.connect()
        try:
            queries = self._migrator.queries
            await connection.run(queries.listen())
            await connection.run(self._migrator.call(queries.show_waiter))
            self._own = connection.raw.info.backend_pid
            self._notifier.hint_all()  # what was written before it listened
            while not self._may_end():
                for payload in await connection.notifications(LISTEN_FOR):
                    self._hear(payload)
        finally:
            self._own = 0
            await connection.release()

    def _may_end(self) -> bool:
        return self._listening.is_stopped or self._notifier.is_idle(LINGER)

    def _hear(self, payload: str) -> None:
        """Wake who waits for what a payload names; for an unknown one, everybody."""
        try:
            token, topics = json.loads(payload)
        except ValueError:
            token, topics = "", None
        if topics is None:
            self._notifier.hint_all()
        elif token != self._token:
            self._notifier.hint(topics)

    # --- what is written here --------------------------------------------------------------------

    async def _tell(self) -> None:
        """Tell what is written, until nothing was for a while."""
        while not self._telling.is_stopped:
            with suppress(*_ERRORS):
                await self._tell_pending()
            await self._pool.sleep(TOGETHER)
            if not self._pending and not await self._pool.nap(self._bell, KNOWN_FOR):
                return

    async def _tell_pending(self) -> None:
        pending, self._pending = self._pending, set()
        if not pending:
            return
        if time.monotonic() - self._looked_at >= KNOWN_FOR:
            looking = self._migrator.call(self._migrator.queries.find_waiters, own=self._own)
            (self._somebody_waits,) = await self._pool.fetch(looking)
            self._looked_at = time.monotonic()
        if self._somebody_waits:
            await self._pool.fetch(self._notification(pending))

    def _notification(self, topics: Collection[str]) -> Call:
        payload = json.dumps([self._token, sorted(topics)])
        if len(payload) > MAX_PAYLOAD:
            payload = json.dumps([self._token, None])
        return self._migrator.call(self._migrator.queries.notify, payload=payload)
