"""What the page of troubleshooting quotes below each symptom is what is really said.

Each function below provokes the trouble of one heading, and yields what is said in the order in
which the page quotes it. SQLite files, servers, commands and processes are real ones.
"""

from __future__ import annotations

import io
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from attrs import field, frozen

import engine_store
from engine_store import DatabaseConfig, Status, User, WorkflowState
from engine_store.cli import main
from engine_store.cli.app import run as run_command
from engine_store.drivers import discovery
from engine_store.errors import EngineStoreError
from engine_store.models import TaskState
from engine_store.protocols import Store
from engine_store.telemetry import SlowOperations
from engine_store_postgres.failures import FAILURES
from engine_store_sqlite.connections import set_wal
from engine_store_sqlite.dialect import MIGRATIONS
from pgbouncer import PROGRAM, pgbouncer
from postgres_server import UNSAFE, PostgresServer

PATIENCE = 30.0
PASSWORD = "right"

pytestmark = pytest.mark.xdist_group("symptoms")  # one worker, so that one server is started

VARYING = {
    r"(?<![\w./*])/[\w.-]+(?:/[\w.-]+)*": "PATH",
    r"INFO SQLite .*the WAL-reset bug.*\n": "",  # on some machines
    r"\b[\d.]+ s\b": "N s",
    r"\ball \d+ connections": "all N connections",
    r"PostgreSQL at [\w.-]+, database \w+": "PostgreSQL at HOST, database NAME",
    r'at "[\w.:]+", port \d+': 'at "ADDRESS", port N',
    r"[0-9a-f]{64}": "SHA-256",
}
"""What differs from run to run, and from machine to machine."""


def normalised(text: str) -> str:
    """`text` without what varies, and without blanks at its ends."""
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    return text.strip()


# --- what the scenes are played with -------------------------------------------------------------


@frozen
class Stage:
    """A folder of its own, and a PostgreSQL server for all."""

    folder: Path
    patch: pytest.MonkeyPatch
    server: Server
    logged: pytest.LogCaptureFixture
    opened: ExitStack = field(factory=ExitStack)

    def open(self, url: str = "sqlite:///engine.db", **settings: Any) -> Any:
        """A store, closed in the end."""
        return self.opened.enter_context(engine_store.open(DatabaseConfig(url=url, **settings)))

    def rival(self, path: str = "engine.db") -> sqlite3.Connection:
        """A connection of somebody else."""
        return self.opened.enter_context(closing(sqlite3.connect(path, isolation_level=None)))


def command(*arguments: str) -> str:
    """What `engine-store` says of a trouble."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as said:
        patch.setattr(sys, "argv", ["engine-store", *arguments])
        with redirect_stdout(io.StringIO()):
            assert run_command() != 0
    return said.getvalue()


def said(call: Callable[[], object]) -> str:
    """The text of the error that a call raises."""
    with pytest.raises(EngineStoreError) as caught:
        call()
    return str(caught.value)


def beside(call: Callable[[], object]) -> str:
    """`said`, in another thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(said, call).result(PATIENCE)


def python(program: str, *arguments: object) -> list[str]:
    """The lines that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Server:
    """A PostgreSQL server with a role that has a password, started when somebody wants it."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        address = {"listen_addresses": "127.0.0.1", "port": str(self.port)}
        limits = {"max_connections": "12", "deadlock_timeout": "10ms"}
        self.running = PostgresServer(settings={**UNSAFE, **address, **limits})
        self._prepared = False

    @property
    def admin(self) -> str:
        """The URL of the superuser."""
        return self.running.url("engine" if self._prepared else "postgres", port=str(self.port))

    def url(self, password: str = PASSWORD, **settings: object) -> str:
        """The URL of the role, by TCP."""
        self._prepare()
        query = "&".join(f"{name}={quote(str(value))}" for name, value in settings.items())
        return f"postgresql://engine:{password}@127.0.0.1:{self.port}/engine?{query}"

    def _prepare(self) -> None:
        if self._prepared:
            return
        self.running.start()
        rules = Path(self.running.socket_folder, "data", "pg_hba.conf")
        rules.write_text("host all engine all scram-sha-256\n" + rules.read_text())
        self.execute(f"CREATE ROLE engine LOGIN PASSWORD '{PASSWORD}'")
        self.execute("CREATE DATABASE engine OWNER engine")
        self.execute("SELECT pg_reload_conf()")
        self._prepared = True
        with engine_store.open(self.url()) as store:
            for key in ("w-1", "w-2"):
                store.workflows.create(WorkflowState(key, "report"))

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Without the server, which is started again."""
        self.running.stop()
        try:
            yield
        finally:
            self.running.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The server of all scenes."""
    server = Server()
    with ExitStack() as stack:
        stack.push(server.running.__exit__)
        yield server


@pytest.fixture
def stage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Stage]:
    """A folder to be in, without settings of the environment."""
    for name in [name for name in os.environ if name.startswith(("ENGINE_STORE_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    stage = Stage(tmp_path, monkeypatch, server, caplog)
    with stage.opened:
        yield stage


Scene = Callable[[Stage], Iterator[str]]
SCENES: dict[str, Scene] = {}


def symptom(heading: str) -> Callable[[Scene], Scene]:
    """What follows provokes what the page has below this heading."""

    def note(scene: Scene) -> Scene:
        SCENES[heading] = scene
        return scene

    return note


# --- starting ------------------------------------------------------------------------------------


@symptom("The command is missing, or some of its commands are")
def without_the_command(stage: Stage) -> Iterator[str]:
    stage.patch.setitem(sys.modules, "typer", None)
    with redirect_stderr(io.StringIO()) as told, pytest.raises(SystemExit):
        main()
    yield told.getvalue()


@symptom("An extra is missing")
def without_an_extra(stage: Stage) -> Iterator[str]:
    stage.patch.delitem(sys.modules, "engine_store.telemetry.otel", raising=False)
    stage.patch.setitem(sys.modules, "opentelemetry.metrics", None)  # what is imported first
    yield said(lambda: engine_store.telemetry.OpenTelemetry)
    stage.patch.setitem(sys.modules, "yaml", None)
    Path("engine.yaml").touch()
    yield command("health", "--config", "engine.yaml")


@symptom("A driver is not installed")
def without_a_driver(stage: Stage) -> Iterator[str]:
    stage.patch.setattr(discovery, "_entry_point", discovery._entry_point.__wrapped__)
    stage.patch.setattr(discovery, "entry_points", lambda group: [])
    yield command("health", "--url", "sqlite:///engine.db")


@symptom("A driver cannot be loaded")
def with_a_broken_driver(stage: Stage) -> Iterator[str]:
    metadata = stage.folder / "x_broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: x-broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[engine_store.drivers]\nbroken = x_none\n")
    stage.patch.syspath_prepend(stage.folder)
    yield command("health", "--url", "broken://somewhere")


@symptom("An unknown setting")
def with_a_slip(stage: Stage) -> Iterator[str]:
    yield command("health", "--url", "sqlite:///engine.db?busy_timout=5")


@symptom("A variable of the environment is not set")
def without_a_variable(stage: Stage) -> Iterator[str]:
    stage.patch.delenv("DB_PASSWORD", raising=False)
    Path("engine.yaml").write_text("database: {password: '${DB_PASSWORD}'}")
    yield command("health", "--config", "engine.yaml")


@symptom("A URL with a password cannot be read")
def with_a_strange_password(stage: Stage) -> Iterator[str]:
    yield command("health", "--url", "postgresql://engine:p@ss@db.example.org/engine")


@symptom("SQLite with pgvector")
def with_vectors_in_sqlite(stage: Stage) -> Iterator[str]:
    Path("engine.toml").write_text(
        '[database]\ndriver = "sqlite"\npath = "engine.db"\n'
        '[[knowledge.vector_dbs]]\nid = "notes"\nprovider = "pgvector"\ndimension = 3\n'
    )
    yield command("start", "--config", "engine.toml")


@symptom("PostgreSQL without the extension vector")
def without_the_extension(stage: Stage) -> Iterator[str]:
    yield command("start", "--url", stage.server.url(pgvector="true"))


# --- files of SQLite -----------------------------------------------------------------------------


@symptom("There is no folder, or no file")
def without_the_folder(stage: Stage) -> Iterator[str]:
    yield command("health", "--url", "sqlite:///none/engine.db")


AS_NOBODY = """
import os, sys
import engine_store
from engine_store.errors import EngineStoreError
engine_store.open("sqlite:///:memory:").close()  # imports what nobody may read
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    engine_store.open(f"sqlite:///{sys.argv[1]}")
except EngineStoreError as error:
    print(f"engine-store: {error}")
"""


@symptom("The folder or the file may not be written")
def without_the_right_to_write(stage: Stage) -> Iterator[str]:
    # Not below pytest's own folders: those of root are closed to everybody else.
    folder = Path(tempfile.mkdtemp(prefix="engine-store-test-"))
    folder.chmod(0o555)
    try:
        yield from python(AS_NOBODY, folder / "engine.db")
    finally:
        folder.rmdir()


@symptom("Others may read the file")
def with_an_open_file(stage: Stage) -> Iterator[str]:
    path = Path("engine.db")
    path.touch()
    path.chmod(0o644)
    yield command("health", "--db-path", "engine.db").splitlines()[0]


@symptom("The file is no database")
def with_another_file(stage: Stage) -> Iterator[str]:
    path = Path("engine.db")
    path.touch(0o600)
    path.write_bytes(b"Dear diary,\n" * 100)
    yield command("health", "--db-path", "engine.db")
    path.write_bytes(b"")
    stage.rival().execute("CREATE TABLE songs (title)")
    yield command("health", "--db-path", "engine.db")


@symptom("The database is damaged")
def with_a_damaged_file(stage: Stage) -> Iterator[str]:
    with stage.open() as store, store.transaction() as tx:
        for number in range(200):
            tx.workflows.create(WorkflowState(f"w{number}", "report", input={"x": "x" * 1000}))
    path = Path("engine.db")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xa5" * (len(content) // 2))
    store = stage.open()
    yield said(lambda: [store.workflows.get(f"w{number}") for number in range(200)])


@symptom("A value cannot be read")
def with_a_value_that_is_none(stage: Stage) -> Iterator[str]:
    store = stage.open()
    store.workflows.create(WorkflowState("w-1", "report"))
    store.tasks.create(TaskState("w-1", "fetch-2", "fetch", "report"))
    stage.rival().execute("UPDATE tasks SET input = '[1]'")
    yield said(lambda: store.tasks.get("fetch-2"))


@symptom("The disk is full")
def without_room(stage: Stage) -> Iterator[str]:
    store = stage.open()
    writer = store.engine.pool.writer.raw
    (used,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {used}")  # as a disk without room for another page
    large = WorkflowState("w-1", "report", input={"x": "x" * 100_000})
    yield said(lambda: store.workflows.create(large))

    with (
        psycopg.connect(stage.server.url(), autocommit=True) as connection,
        pytest.raises(psycopg.errors.DiskFull) as caught,
    ):
        connection.execute("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$")
    yield str(FAILURES.translate(caught.value))

    full = io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True)
    with full, redirect_stderr(io.StringIO()) as told, redirect_stdout(full):
        stage.patch.setattr(sys, "argv", ["engine-store", "export", "-", "--db-path", "engine.db"])
        assert run_command() == 2
    yield told.getvalue()


@symptom("The file is on a network file system")
def without_shared_memory(stage: Stage) -> Iterator[str]:
    # Without locks SQLite cannot do write-ahead logging, as on such a file system.
    with closing(sqlite3.connect("file:engine.db?nolock=1", uri=True)) as connection:
        yield said(lambda: set_wal(connection, timeout=1))


# --- waiting -------------------------------------------------------------------------------------

IMPATIENT = "sqlite:///engine.db?busy_timeout=0.01&readers=1"


@symptom("Database is locked")
def with_another_writer(stage: Stage) -> Iterator[str]:
    store, rival = stage.open(IMPATIENT), stage.rival()
    rival.execute("BEGIN IMMEDIATE")
    create = partial(store.workflows.create, WorkflowState("w-1", "report"))
    yield said(create)
    rival.execute("ROLLBACK")
    with store.transaction():
        yield beside(create)


@symptom("A transaction waits for itself")
def with_a_transaction_of_its_own(stage: Stage) -> Iterator[str]:
    store = stage.open()
    with store.transaction():
        yield said(lambda: store.workflows.create(WorkflowState("w-1", "report")))


@symptom("Every reader was busy")
def with_busy_readers(stage: Stage) -> Iterator[str]:
    store = stage.open(IMPATIENT)
    readers = store.engine.pool.read_pool
    taken = readers.acquire()
    yield said(store.workflows.list)
    readers.release(taken)


@symptom("All connections were busy")
def with_a_full_pool(stage: Stage) -> Iterator[str]:
    store = stage.open(stage.server.url(pool_max_size=1, pool_timeout=0.05))
    with store.transaction():
        yield said(store.workflows.list)
    store = stage.open(stage.server.url(pool_max_size=1, pool_max_waiting=1))
    with ThreadPoolExecutor(1) as thread, store.transaction():
        thread.submit(store.workflows.list)
        while not store.stats()["requests_waiting"]:
            time.sleep(0)
        yield said(store.workflows.list)


@symptom("A lock or a statement took too long")
def with_a_held_row(stage: Stage) -> Iterator[str]:
    patient = stage.open(stage.server.url())
    for setting in ({"lock_timeout": 0.02}, {"lock_timeout": 0, "statement_timeout": 0.02}):
        store = stage.open(stage.server.url(**setting))
        with patient.transaction() as tx:
            tx.workflows.get_for_update("w-1")
            yield said(lambda store=store: store.workflows.set_status("w-1", Status.RUNNING))


@symptom("Two transactions waited for each other")
def with_a_deadlock(stage: Stage) -> Iterator[str]:
    store, both = stage.open(stage.server.url()), threading.Barrier(2)

    def lock(first: str, second: str) -> str | None:
        try:
            with store.transaction() as tx:
                tx.workflows.get_for_update(first)
                both.wait(PATIENCE)
                tx.workflows.get_for_update(second)
        except EngineStoreError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(2) as threads:
        texts = threads.map(lock, ("w-1", "w-2"), ("w-2", "w-1"))
    yield from filter(None, texts)


@symptom("Conflicts that do not end")
def with_a_function_that_writes(stage: Stage) -> Iterator[str]:
    stage.patch.setattr("time.sleep", lambda seconds: None)
    store = stage.open("sqlite:///engine.db?synchronous=off")
    store.workflows.create(WorkflowState("w-1", "report"))

    def write_itself(state: WorkflowState) -> WorkflowState:
        store.workflows.set_status("w-1", Status.RUNNING)
        return state.evolve(status=Status.PAUSED)

    yield said(lambda: store.workflows.modify("w-1", write_itself))


# --- PostgreSQL ----------------------------------------------------------------------------------


@symptom("The server is down")
def without_a_server(stage: Stage) -> Iterator[str]:
    url = stage.server.url(pool_timeout=0.05)
    store = stage.open(url)
    with stage.server.stopped():
        yield command("health", "--url", url)
        yield said(store.workflows.list)


@symptom("A wrong password")
def with_a_wrong_password(stage: Stage) -> Iterator[str]:
    yield command("health", "--url", stage.server.url("wrong"))


@symptom("The connection was lost")
def with_an_ended_connection(stage: Stage) -> Iterator[str]:
    store = stage.open(stage.server.url(application_name="to-be-ended"))
    end = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{}'"
    )
    with pytest.raises(EngineStoreError), store.transaction() as tx:
        tx.workflows.get_for_update("w-1")
        stage.server.execute(end.format("to-be-ended"))
        yield said(tx.workflows.list)
        yield said(tx.workflows.list)


@symptom("PostgreSQL has no connection left")
def without_a_connection_left(stage: Stage) -> Iterator[str]:
    url = stage.server.url()
    with ExitStack() as connections:
        with pytest.raises(psycopg.OperationalError):
            while True:
                connections.enter_context(closing(psycopg.connect(url)))
        yield command("health", "--url", url)


@symptom("Behind PgBouncer")
def behind_a_pool_of_sessions(stage: Stage) -> Iterator[str]:
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    with behind_pgbouncer(stage.server) as url:
        yield command("health", "--url", url)
    with behind_pgbouncer(stage.server, ignore_startup_parameters="options") as url:
        one, other = stage.open(url), stage.open(url)

        def use_often(store: Store) -> None:
            for _ in range(6):  # psycopg prepares what it has run five times
                store.workflows.get("w-1")

        use_often(one)
        yield said(lambda: use_often(other))


@contextmanager
def behind_pgbouncer(server: Server, **settings: str) -> Iterator[str]:
    """The URL of a PgBouncer with one connection to the server, and further settings."""
    server.url()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = f"host={server.running.socket_folder} port={server.port} user=postgres"
    alone = {"listen_addr": "127.0.0.1", "default_pool_size": "1"}
    with pgbouncer(target, port, {**alone, **settings}):
        yield f"postgresql://postgres@127.0.0.1:{port}/engine"


@symptom("The server may not be written")
def with_a_server_that_only_reads(stage: Stage) -> Iterator[str]:
    url = stage.server.url(options="-c default_transaction_read_only=on")
    store = stage.open(url)
    yield said(lambda: store.workflows.set_status("w-1", Status.RUNNING))


@symptom("The user lacks a privilege")
def without_a_privilege(stage: Stage) -> Iterator[str]:
    url = stage.server.url(schema="another")
    stage.server.execute("REVOKE CREATE ON DATABASE engine FROM engine")
    stage.server.execute("ALTER DATABASE engine OWNER TO postgres")
    try:
        yield said(lambda: stage.open(url))
    finally:
        stage.server.execute("ALTER DATABASE engine OWNER TO engine")
        stage.server.execute("GRANT CREATE ON DATABASE engine TO engine")


# --- the schema ----------------------------------------------------------------------------------


def change_record(stage: Stage, statement: str) -> None:
    """Change the record of the steps of a new database."""
    stage.open().close()
    stage.rival().execute(statement)


@symptom("The schema is behind")
def behind(stage: Stage) -> Iterator[str]:
    stage.open().migrator.down(2)
    yield command("health", "--db-path", "engine.db")
    yield command("health", "--db-path", "none.db")


@symptom("The schema is ahead")
def ahead(stage: Stage) -> Iterator[str]:
    newer = len(MIGRATIONS) + 1
    change_record(
        stage, f"INSERT INTO engine_store_migrations VALUES ({newer}, 'next', 'x', '2026-01-31')"
    )
    yield command("health", "--db-path", "engine.db")


@symptom("The schema has drifted")
def drifted(stage: Stage) -> Iterator[str]:
    store = stage.open()
    stage.rival().execute("ALTER TABLE users ADD COLUMN nickname TEXT")
    yield said(store.migrator.verify)
    change_record(stage, "UPDATE engine_store_migrations SET checksum = 'x' WHERE version = 3")
    yield command("health", "--db-path", "engine.db")


@symptom("The migration lock is not free")
def with_another_migrator(stage: Stage) -> Iterator[str]:
    Path("engine.db").touch(0o600)
    rival = stage.rival()
    rival.execute("PRAGMA journal_mode = WAL")
    rival.execute("BEGIN IMMEDIATE")
    Path("engine.toml").write_text(
        '[database]\ndriver = "sqlite"\npath = "engine.db"\nmigration_timeout = "10ms"\n'
    )
    yield command("start", "--config", "engine.toml")


@symptom("No such table")
def without_tables(stage: Stage) -> Iterator[str]:
    store = stage.open()
    store.migrator.down(0)
    yield said(store.users.list)


# --- moving rows ---------------------------------------------------------------------------------


def export_one_user(stage: Stage) -> list[str]:
    """The lines of an export with one user, of `engine.db`."""
    store = stage.open()
    store.users.create(User("ada", "ada@example.org"))
    engine_store.transfer.export(store, "engine.jsonl")
    return Path("engine.jsonl").read_text().splitlines(keepends=True)


@symptom("An import is refused")
def into_a_store_with_rows(stage: Stage) -> Iterator[str]:
    export_one_user(stage)
    yield command("import", "engine.jsonl", "--db-path", "engine.db")


@symptom("An export is damaged")
def from_a_damaged_file(stage: Stage) -> Iterator[str]:
    lines = export_one_user(stage)
    for damaged in (lines[0] + lines[1][:50], "".join(lines).replace("ada@", "eve@")):
        Path("engine.jsonl").write_text(damaged)
        yield command("import", "engine.jsonl", "--db-path", "other.db")


# --- in the code ---------------------------------------------------------------------------------


@symptom("A store used after its end")
def after_the_end(stage: Stage) -> Iterator[str]:
    store = stage.open()
    store.close()
    yield said(store.workflows.list)


@symptom("A transaction of another thread")
def from_another_thread(stage: Stage) -> Iterator[str]:
    with stage.open().transaction() as tx:
        yield beside(tx.workflows.list)


FORKING = """
import asyncio, os, sys
import engine_store
from engine_store.errors import EngineStoreError

def in_a_child(call):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            call()
        except EngineStoreError as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)

async def main():
    async with await engine_store.open_async("sqlite:///engine.db") as store:
        in_a_child(lambda: store.workflows.list().send(None))

with engine_store.open("sqlite:///engine.db") as store, store.transaction():
    in_a_child(store.workflows.list)
asyncio.run(main())
"""


@symptom("After a fork")
def in_a_forked_child(stage: Stage) -> Iterator[str]:
    yield from python(FORKING)


@symptom("Lists are slow")
def with_a_slow_list(stage: Stage) -> Iterator[str]:
    slow = SlowOperations(threshold=0)
    with engine_store.open("sqlite:///engine.db", plugins=[slow]) as store:
        store.tasks.list()
    yield from stage.logged.messages


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", SCENES)
def test_what_is_quoted_below_a_symptom_is_what_is_said(troubleshooting, stage, heading):
    symptoms, _ = troubleshooting
    quoted = list(map(normalised, symptoms[heading].quotes))
    assert list(map(normalised, SCENES[heading](stage))) == quoted


def test_every_symptom_that_quotes_something_is_provoked(troubleshooting):
    symptoms, _ = troubleshooting
    assert [heading for heading, section in symptoms.items() if section.quotes] == list(SCENES)


def test_the_statements_of_the_page_run(troubleshooting, server):
    server.url()
    symptoms, _ = troubleshooting
    statements = [statement for section in symptoms.values() for statement in section.statements]
    assert len(statements) == 4
    for statement in statements:
        server.execute(statement)
