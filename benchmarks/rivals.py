"""Other queues in databases, which the store is compared with where they are installed."""

from __future__ import annotations

import asyncio
import os
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.crews import (
    LOOP,
    NOTHING,
    PROCESSES,
    THREADS,
    Contestant,
    Crew,
    Done,
    LostWorkError,
    Shift,
)
from benchmarks.databases import POSTGRES, SQLITE, Databases
from engine_store_postgres.options import PostgresOptions

if TYPE_CHECKING:
    from procrastinate import App

_NAME = "work"
"""Of the queue, and of what is in it."""


def installed(rival: Contestant) -> str | None:
    """Return the version of a rival's package, if there is one."""
    try:
        return version(rival.name)
    except PackageNotFoundError:
        return None


# --- procrastinate -------------------------------------------------------------------------------


class Procrastinate:
    """`benchmarks.crews.Contestant`: jobs, fetched and finished one by one."""

    name = "procrastinate"
    title = "procrastinate"
    kinds = (LOOP, PROCESSES)

    def fill(self, databases: Databases, url: str, tasks: int) -> None:
        portion = min(tasks, 1_000)
        with _app(url).open() as app:
            app.schema_manager.apply_schema()
            job = app.configure_task(_NAME, queue=_NAME)
            for _ in range(tasks // portion):
                job.batch_defer(*({} for _ in range(portion)))
        databases.rows(url, "VACUUM (ANALYZE)")

    def work(self, url: str, batch: int) -> ProcrastinateWork:
        return ProcrastinateWork(url)

    def check(self, databases: Databases, url: str, tasks: int, done: Done) -> None:
        found = databases.rows(
            url,
            "SELECT status::text, attempts, count(*) FROM procrastinate_jobs "
            "GROUP BY status, attempts",
        )
        expected = {("succeeded", 1, done.tasks), ("todo", 0, tasks - done.tasks)}
        if set(found) != {row for row in expected if row[-1]}:
            raise LostWorkError(f"{done.tasks} jobs were finished, and stored are {found}")


@frozen
class ProcrastinateWork:
    """Workers that fetch and finish by the methods that its own worker calls, and do no more."""

    url: str

    def __call__(self, crew: Crew, shift: Shift) -> Done:
        """Work on an event loop: it has no other workers."""
        return asyncio.run(self._work(crew.of_process, shift))

    async def _work(self, workers: int, shift: Shift) -> Done:
        from procrastinate.jobs import Status

        async with _app(self.url).open_async() as app:
            jobs = app.job_manager

            async def work(worker: int) -> int:
                finished = 0
                while job := await jobs.fetch_job([_NAME], worker):
                    await jobs.finish_job(job, Status.SUCCEEDED, delete_job=False)
                    finished += 1
                    if shift.is_over():
                        break
                return finished

            registered = [await jobs.register_worker() for _ in range(workers)]
            shift.begin()
            return shift.done(sum(await asyncio.gather(*map(work, registered))))


def _app(url: str) -> App:
    """An application with a pool as large as the store's."""
    from procrastinate import App, PsycopgConnector

    size = PostgresOptions().pool_max_size
    return App(connector=PsycopgConnector(conninfo=url, max_size=size))


# --- DBOS ----------------------------------------------------------------------------------------

_POLLING_S = 0.001
"""The interval of its looks into the queue. With its default, a second, it would mostly sleep."""
_WARM_UP_S = 0.3
_VERSION = "1"


class Dbos:
    """`benchmarks.crews.Contestant`: workflows in a queue, which return at once."""

    name = "dbos"
    title = "DBOS"
    kinds = (THREADS, PROCESSES)

    def fill(self, databases: Databases, url: str, tasks: int) -> None:
        from dbos import DBOSClient, run_dbos_database_migrations

        run_dbos_database_migrations(_system(url))
        client = DBOSClient(system_database_url=_system(url))
        client.enqueue({"queue_name": _NAME, "workflow_name": _NAME, "app_version": _VERSION})
        client.destroy()
        for table in ("workflow_status", "workflow_input"):
            databases.repeat(url, _table(url, table), "workflow_uuid", tasks - 1)

    def work(self, url: str, batch: int) -> DbosWork:
        return DbosWork(url)

    def check(self, databases: Databases, url: str, tasks: int, done: Done) -> None:
        found = databases.rows(
            url,
            f"SELECT recovery_attempts, count(*) FROM {_table(url, 'workflow_status')} "
            "WHERE status = 'SUCCESS' GROUP BY recovery_attempts",
        )
        if [attempts for attempts, _ in found] != [1] or found[0][1] < done.tasks:
            raise LostWorkError(f"{done.tasks} workflows have ended, and stored are {found}")


@frozen
class DbosWork:
    """Its queue worker, with a thread for each workflow. What has ended is counted in its table."""

    url: str

    def __call__(self, crew: Crew, shift: Shift) -> Done:
        """Let it work; one of the processes counts for all."""
        from dbos import DBOS, DBOSClient

        client = DBOSClient(system_database_url=_system(self.url))
        client.register_queue(
            _NAME, worker_concurrency=crew.of_process, polling_interval_sec=_POLLING_S
        )
        client.destroy()
        DBOS(
            config={
                "name": _NAME,
                "system_database_url": _system(self.url),
                "application_version": _VERSION,
                "executor_id": str(os.getpid()),
                "log_level": "CRITICAL",
            }
        )
        DBOS.workflow(name=_NAME)(_return)
        DBOS.launch()
        return NOTHING if shift.begin() else self._count(shift)

    def _count(self, shift: Shift) -> Done:
        from sqlalchemy import create_engine, text

        table = _table(self.url, "workflow_status")
        query = text(f"SELECT count(*) FROM {table} WHERE status = 'SUCCESS'")
        with create_engine(_system(self.url), isolation_level="AUTOCOMMIT").connect() as connection:

            def ended() -> int:
                return int(connection.execute(query).scalar_one())

            while not ended():
                time.sleep(0.02)
            time.sleep(_WARM_UP_S)
            before = after = ended()
            began = time.monotonic()
            while after == before:
                time.sleep(shift.seconds)
                now = time.monotonic()
                after = ended()
        return Done(after - before, began, now)


def _return() -> None:
    """Do nothing."""


def _system(url: str) -> str:
    """The URL by which SQLAlchemy finds the database."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def _table(url: str, name: str) -> str:
    """The name of a table in SQL."""
    return name if url.startswith("sqlite:") else f"dbos.{name}"


_PROCRASTINATE, _DBOS = Procrastinate(), Dbos()

RIVALS: dict[str, tuple[Contestant, ...]] = {SQLITE: (_DBOS,), POSTGRES: (_PROCRASTINATE, _DBOS)}
"""Those of each database."""
