"""The quickstart on PostgreSQL: another URL, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import engine_store
from database_server import NotInstalledError
from engine_store.models import Status
from postgres_server import PostgresServer, given_or_started
from quickstart.sources import Source
from quickstart.steps import Result
from quickstart.workflow import FILES, SUMMARY, finish, plan

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "scripts" / "postgres_server.py"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_killed_worker_costs_no_result_and_repeats_none(
    run: Run, texts: Path, postgres_store_url: str
) -> None:
    ran = run("--input", str(texts), "--store", postgres_store_url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "killed with SIGKILL: 1 done, dogs.md in hand" in ran.stdout
    assert ran.stdout.count("\nok  ") == 4
    with engine_store.open(postgres_store_url) as store:
        [workflow] = store.workflows.list().items
        tasks = store.tasks.in_workflow(workflow.workflow_exec_id)
    assert workflow.status is Status.SUCCESS
    assert {task.status for task in tasks.values()} == {Status.SUCCESS}


def test_of_files_that_end_at_once_one_is_the_last(postgres_store_url: str) -> None:
    with engine_store.open(postgres_store_url) as store, ThreadPoolExecutor(8) as threads:
        source = Source("a source", "/nowhere", tuple(map(str, range(40))))
        exec_id = plan(store, source).workflow_exec_id
        claims = store.tasks.claim("one", lease=30, queues=[exec_id], limit=40)
        ended = list(threads.map(lambda claim: finish(store, claim, Result({})), claims))
        tasks = store.tasks.in_workflow(exec_id)
        [summary] = store.tasks.list(engine_store.TaskFilter(exec_id, task_id=SUMMARY)).items
    assert {(task.status, task.version) for task in ended} == {(Status.SUCCESS, 3)}
    assert (tasks[FILES].status, tasks[FILES].version) == (Status.SUCCESS, 2)
    assert summary.status is Status.PENDING


def test_a_server_that_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    ran = run("--store", f"postgresql://postgres@/postgres?host={tmp_path}")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith(f"quickstart: PostgreSQL at {tmp_path}, database postgres: ")
    assert ran.stderr.count("\n") == 1


# --- scripts/postgres_server.py: a server beside a command ----------------------------------------


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a server may keep its data, also one that runs as another user than these tests."""
    with tempfile.TemporaryDirectory(prefix="es-home-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name, "server")


def test_the_command_gets_the_url_and_gives_the_exit_code_and_the_data_stays(home: Path) -> None:
    use_it = (
        "import os, sys, engine_store\n"
        "with engine_store.open(os.environ['QUICKSTART_STORE']) as store:\n"
        "    store.users.upsert(engine_store.User('ann', 'ann@example.org'))\n"
        "    sys.exit(40 + store.users.get('ann').version)\n"
    )
    command = [sys.executable, str(SERVER), str(home), sys.executable, "-c", use_it]
    codes = [subprocess.run(command, timeout=60).returncode for _ in range(2)]
    assert codes == [41, 42]


def test_ctrl_c_is_for_the_command_and_the_server_stops_after_it(home: Path) -> None:
    wait = (
        "import os, signal, engine_store\n"
        "store = engine_store.open(os.environ['QUICKSTART_STORE'])\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    print(store.health().ok, flush=True)\n"
        "    raise SystemExit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(home), sys.executable, "-c", wait],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "True\n"
    assert process.returncode == 130


def test_what_cannot_be_started_is_said_in_a_line() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # for root, whose server is another user's
        Path(name, "file").touch()
        command = [sys.executable, str(SERVER), str(Path(name, "file")), "true"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3
    assert ran.stderr.startswith("postgres_server: ")
    assert "Traceback" not in ran.stderr


def test_a_command_is_asked_for(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, str(SERVER)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (2, "usage: postgres_server.py DIRECTORY COMMAND...\n")


def test_a_server_that_does_not_start_leaves_nothing_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home.parent))
    with pytest.raises(FileNotFoundError), PostgresServer(programs=Path("/bin")):
        pass  # there is no initdb
    assert list(home.parent.iterdir()) == []


def test_where_a_server_is_given_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postgres_server.find_spec", lambda name: None)
    with given_or_started("postgresql://host/database") as url:
        assert url == "postgresql://host/database"
    with pytest.raises(NotInstalledError), given_or_started(None):
        pass
