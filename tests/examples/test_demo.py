"""The quickstart as its users run it: processes, kills, Ctrl-C, bad input."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import engine_store
from engine_store import Status, Store, WorkflowState
from engine_store.drivers import discovery
from quickstart import cli
from quickstart.events import Event, Kind
from quickstart.sources import folder_or_file
from quickstart.workflow import FILES, file_tasks, plan

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

CHECKS = (
    "ok  every task has ended",
    "ok  no acknowledged result was lost",
    "ok  no finished task ran twice",
    "ok  all usage was counted once",
)


@pytest.fixture
def default_store(tmp_path: Path) -> Callable[[], Store]:
    """Open the store that the quickstart makes for itself in `tmp_path`."""
    return lambda: engine_store.open(f"sqlite:///{tmp_path}/.demo/engine.db")


def workflows(store: Store) -> list[WorkflowState]:
    """Every workflow of the store with its tasks, the newest first."""
    found = store.workflows.list().items
    return [store.workflows.get(state.workflow_exec_id, with_tasks=True) for state in found]


def next_event(worker: subprocess.Popen[str]) -> Event:
    """The next event of a worker, which waits for nothing but its work."""
    assert worker.stdout is not None
    return Event.parse(worker.stdout.readline())


def write_line(worker: subprocess.Popen[str]) -> None:
    """End the pause of a worker that holds a task."""
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def events_of(worker: subprocess.Popen[str]) -> list[Event]:
    """The events of a worker up to its end, which must be a good one."""
    assert worker.stdout is not None
    events = [Event.parse(line) for line in worker.stdout]
    assert worker.wait() == 0
    return events


# --- the whole demo ----------------------------------------------------------------------------


def test_a_killed_worker_costs_no_result_and_repeats_none(
    run: Run, texts: Path, default_store: Callable[[], Store]
) -> None:
    ran = run("--input", str(texts))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "killed with SIGKILL: 1 done, dogs.md in hand" in ran.stdout
    assert "in the store: 3 files, 1 PENDING, 1 RUNNING, 1 SUCCESS" in ran.stdout
    assert "took dogs.md over: attempt 2" in ran.stdout
    assert "ended the workflow: 3 done, the summary among them" in ran.stdout
    for check in CHECKS:
        assert check in ran.stdout
    with default_store() as store:
        (workflow,) = workflows(store)
        attempts = {task.task_id: task.attempt for task in workflow.tasks.values()}
        assert workflow.status is Status.SUCCESS
        assert attempts == {FILES: 0, "file-0001": 1, "file-0002": 2, "file-0003": 1, "summary": 1}


def test_the_tree_shows_status_attempts_worker_time_and_tokens(run: Run, texts: Path) -> None:
    lines = run("--input", str(texts)).stdout.splitlines()
    tree = lines[lines.index("Execution tree") + 1 :][:7]
    words = [line.replace("│", " ").replace("├─", " ").replace("└─", " ").split() for line in tree]
    assert words[0] == ["status", "attempts", "worker", "time", "tokens"]
    assert [row[:2] for row in words[1:3]] == [["text-analysis", "SUCCESS"], ["files", "SUCCESS"]]
    assert [row[:4] for row in words[3:]] == [
        ["cats.txt", "SUCCESS", "1", "1"],
        ["dogs.md", "SUCCESS", "2", "2"],
        ["empty.txt", "SUCCESS", "1", "2"],
        ["summary", "SUCCESS", "1", "2"],
    ]
    assert [guide[:6] for guide in tree[2:]] == ["├─ fil", "│  ├─ ", "│  ├─ ", "│  └─ ", "└─ sum"]


def test_the_report_fits_80_columns_whatever_the_files_are_called(run: Run, texts: Path) -> None:
    deep = texts / "a folder whose name is long" / "and another one below it" / "with a text.md"
    deep.parent.mkdir(parents=True)
    deep.write_text("Incomprehensibilities, counterrevolutionaries, internationalisation.")
    (texts / "line\nbreak.txt").write_bytes(b"\xff")
    ran = run("--input", str(texts), "--no-kill")
    report = ran.stdout[ran.stdout.index("Execution tree") :]
    assert ran.returncode == 0
    assert max(len(line.rstrip()) for line in report.splitlines()) <= 80
    assert "... another one below it/with a text.md" not in report
    assert "with a text.md" in report
    assert "line?break.txt  NOT_UTF8  not UTF-8 at byte 0" in report


def test_the_projects_own_documents_are_analysed_where_nothing_else_is_named(run: Run) -> None:
    ran = run()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "README.md" in ran.stdout


def test_it_can_be_started_as_a_module_beside_its_folder(start: Start, texts: Path) -> None:
    process = start("quickstart", "--input", str(texts), "--no-kill")
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "killed" not in output


def test_a_workflow_that_fails_ends_the_demo_with_1(run: Run, texts: Path) -> None:
    for path in texts.iterdir():
        path.write_bytes(b"\xff")
    ran = run("--input", str(texts), "--no-kill")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.count("NOT_UTF8") == 3


def test_a_long_tree_shows_what_failed_and_what_ran_again(run: Run, many_texts: Path) -> None:
    (many_texts / "text-150.txt").write_bytes(b"\xff")
    ran = run("--input", str(many_texts))
    tree = ran.stdout[ran.stdout.index("Execution tree") : ran.stdout.index("Longest texts")]
    assert "text-066.txt" in tree  # in the hands of the first worker when it was killed
    assert "text-150.txt" in tree
    assert "└─ ... 160 more" in tree
    assert "text-100.txt" not in tree


# --- interrupted and resumed -------------------------------------------------------------------


@pytest.fixture
def planned(tmp_path: Path, many_texts: Path) -> Iterator[tuple[Store, str, str]]:
    """A store in a file, its URL, and the execution id of a workflow planned in it."""
    url = f"sqlite:///{tmp_path}/engine.db"
    with engine_store.open(url) as store:
        yield store, url, plan(store, folder_or_file(str(many_texts))).workflow_exec_id


@pytest.fixture
def gates(planned: object, many_texts: Path) -> Path:
    """A text in the middle, and the last one, turned into pipes after the plan; the first pipe.

    Opening the first one to write waits until a worker reads it, and the worker waits until it is
    closed. No worker gets past the other one.
    """
    paths = [many_texts / f"text-{number}.txt" for number in (100, 199)]
    for path in paths:
        path.unlink()
        os.mkfifo(path)
    return paths[0]


def open_gates(many_texts: Path) -> None:
    """Turn the pipes into texts again."""
    for path in many_texts.iterdir():
        if path.is_fifo():
            path.unlink()
            path.write_text("It was a pipe.")


def test_after_ctrl_c_the_next_run_resumes(
    run: Run, start: Start, many_texts: Path, planned: tuple[Store, str, str], gates: Path
) -> None:
    store, url, exec_id = planned
    process = start("quickstart", "--input", str(many_texts), "--store", url)
    with gates.open("w"):
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    before = store.tasks.in_workflow(exec_id)
    done = {task_id: task for task_id, task in before.items() if task.status is Status.SUCCESS}
    assert 100 <= len(done) < 200  # the task of the killed worker may still be its own
    assert process.returncode == 130
    assert errors == (
        f"quickstart: Interrupted: {len(done)} of 200 files are done and kept in {url}; "
        "the same command resumes.\n"
    )

    open_gates(many_texts)
    ran = run("--input", str(many_texts), "--store", url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"resumed workflow {exec_id}" in ran.stdout
    for check in CHECKS:
        assert check in ran.stdout
    after = store.workflows.get(exec_id, with_tasks=True)
    assert after.status is Status.SUCCESS
    assert {task_id: after.tasks[task_id] for task_id in done} == done
    assert len(store.workflows.list().items) == 1


def test_a_killed_parent_leaves_no_worker_behind_and_a_store_that_resumes(
    run: Run, start: Start, many_texts: Path, planned: tuple[Store, str, str], gates: Path
) -> None:
    store, url, exec_id = planned
    process = start("quickstart", "--input", str(many_texts), "--store", url, "--no-kill")
    with gates.open("w"):
        process.kill()
        process.wait()
    process.communicate()  # standard error ends when the worker, which shares it, has ended
    files = file_tasks(store.tasks.in_workflow(exec_id))
    assert [task.status for task in files] == [Status.SUCCESS] * 101 + [Status.PENDING] * 99

    open_gates(many_texts)
    ran = run("--input", str(many_texts), "--store", url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"resumed workflow {exec_id}" in ran.stdout


def test_a_finished_workflow_is_not_resumed_but_begun_anew(
    run: Run, texts: Path, default_store: Callable[[], Store]
) -> None:
    run("--input", str(texts), "--no-kill")
    assert "new workflow" in run("--input", str(texts), "--no-kill").stdout
    with default_store() as store:
        assert [state.status for state in workflows(store)] == [Status.SUCCESS] * 2


# --- workers -----------------------------------------------------------------------------------


@pytest.fixture
def work(start: Start, planned: tuple[Store, str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start a worker of the planned workflow by its name."""
    _, url, exec_id = planned
    where = (f"--store={url}", f"--workflow={exec_id}")
    return lambda name, *options: start("quickstart.worker", *where, f"--name={name}", *options)


def test_two_workers_at_once_run_every_task_exactly_once(
    work: Start, planned: tuple[Store, str, str]
) -> None:
    store, _, exec_id = planned
    workers = [work("one", "--hold-after=0"), work("other", "--hold-after=0")]
    claimed = [next_event(worker) for worker in workers]
    for worker in workers:  # both have a task in hand: let them race
        write_line(worker)
    with ThreadPoolExecutor() as threads:
        outputs = list(threads.map(events_of, workers))
    tasks = [task for task in store.tasks.in_workflow(exec_id).values() if task.task_id != FILES]
    finished = [e.task_exec_id for events in outputs for e in events if e.kind is Kind.FINISHED]
    assert sorted(finished) == sorted(task.task_exec_id for task in tasks)
    assert {(task.status, task.version, task.attempt) for task in tasks} == {(Status.SUCCESS, 3, 1)}
    assert claimed[0].task_exec_id != claimed[1].task_exec_id
    assert all(outputs)
    assert store.workflows.get(exec_id).status is Status.SUCCESS


def test_a_worker_takes_over_from_one_that_was_killed_in_a_task(
    work: Start, planned: tuple[Store, str, str]
) -> None:
    store, _, _ = planned
    first = work("first", "--hold-after=0", "--lease=0.1")
    claimed = next_event(first)
    first.kill()
    events = events_of(work("second"))
    [over] = [event for event in events if event.kind is Kind.CLAIMED and event.attempt == 2]
    assert over.task_exec_id == claimed.task_exec_id
    task = store.tasks.get(claimed.task_exec_id)
    assert (task.status, task.version, task.attempt) == (Status.SUCCESS, 4, 2)


def test_a_worker_that_was_too_slow_drops_its_result(
    work: Start, planned: tuple[Store, str, str]
) -> None:
    store, _, exec_id = planned
    slow = work("slow", "--hold-after=0", "--lease=0.1")
    claimed = next_event(slow)
    events_of(work("other"))
    before = store.workflows.get(exec_id, with_tasks=True)
    write_line(slow)
    assert [(e.kind, e.task_exec_id) for e in events_of(slow)] == [
        (Kind.LOST, claimed.task_exec_id)
    ]
    assert store.workflows.get(exec_id, with_tasks=True) == before


def test_a_worker_ends_the_task_in_hand_when_its_parent_lets_go(
    work: Start, planned: tuple[Store, str, str]
) -> None:
    store, _, exec_id = planned
    worker = work("one", "--hold-after=2")
    kinds = [next_event(worker).kind for _ in range(5)]
    assert kinds == [Kind.CLAIMED, Kind.FINISHED, Kind.CLAIMED, Kind.FINISHED, Kind.CLAIMED]
    assert worker.stdin is not None
    worker.stdin.close()
    assert [event.kind for event in events_of(worker)] == [Kind.FINISHED]
    statuses = [task.status for task in file_tasks(store.tasks.in_workflow(exec_id))]
    assert statuses == [Status.SUCCESS] * 3 + [Status.PENDING] * 197


def test_a_worker_that_cannot_go_on_says_why_in_an_event(
    start: Start, planned: tuple[Store, str, str]
) -> None:
    _, url, _ = planned
    worker = start("quickstart.worker", f"--store={url}", "--workflow=none", "--name=one")
    assert next_event(worker) == Event(
        Kind.FAILED, reason="no workflow execution with id 'none'", exit_code=2
    )
    assert worker.wait() == 2


def test_a_demo_whose_worker_fails_says_so_and_keeps_what_is_done(
    tmp_path: Path,
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("quickstart.supervisor._command", lambda *_: [sys.executable, "-c", "1/0"])
    url = f"sqlite:///{tmp_path}/engine.db"
    assert cli.main(["--input", str(texts), "--store", url]) == 1
    name, _, reason = capsys.readouterr().err.partition(" ended with ")
    assert name == "quickstart: worker-1"
    assert reason == "exit code 1; what is done is kept, and the same command resumes\n"
    with engine_store.open(url) as store:
        assert [state.status for state in workflows(store)] == [Status.RUNNING]


# --- bad input ---------------------------------------------------------------------------------


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder`, with what its files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the quickstart in this process, where it ends before it starts others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUICKSTART_STORE", raising=False)

    def here(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = cli.main(arguments)
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return here


def refused(run: Run, folder: Path, *arguments: str) -> str:
    """Run the demo, which must end with 2, one line, and nothing changed; returns the line."""
    before = everything(folder)
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert everything(folder) == before
    return ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense"], "quickstart: unrecognized arguments: --nonsense; see --help\n"),
        (["--input", "nowhere"], "--input: there is no folder or file 'nowhere'"),
        (["--input", "texts/none"], "--input: there is no folder or file"),
        (["--store", "engine.db"], "url: expected scheme://"),
        (["--store", "oracle://host/db"], "no driver named 'oracle' (installed: "),
        (["--store", "sqlite://"], "url: expected a file: sqlite:///engine.db"),
        (["--store", "sqlite://host/engine.db"], "a SQLite database has no host"),
        (["--store", "sqlite:///engine.db?colour=red"], "colour"),
        (["--store", "sqlite:///nowhere/engine.db"], "there is no directory"),
        (["--store", "sqlite:///texts"], "is a directory; name a file inside it"),
        (["--store", "sqlite:///:memory:"], "a database in memory"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    here: Run, tmp_path: Path, texts: Path, arguments: list[str], message: str
) -> None:
    assert message in refused(here, tmp_path, *arguments)


def test_a_folder_without_texts_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no text files" in refused(run, tmp_path, "--input", "empty")


def test_a_password_in_the_url_is_never_shown(here: Run, tmp_path: Path) -> None:
    line = refused(here, tmp_path, "--store", "oracle://user:secret@host/db")
    assert "secret" not in line


def test_a_file_that_is_no_database_is_refused(here: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Notes, long before there was a database. " * 50)
    line = refused(here, tmp_path, "--store", "sqlite:///notes.db")
    assert "notes.db holds data that is no SQLite database" in line


def test_the_database_of_another_program_is_refused(here: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE albums (title TEXT)")
    line = refused(here, tmp_path, "--store", "sqlite:///other.db")
    assert "other.db holds the database of another program" in line


def test_a_newer_schema_is_refused(here: Run, tmp_path: Path) -> None:
    engine_store.open(f"sqlite:///{tmp_path}/newer.db").close()
    with closing(sqlite3.connect(tmp_path / "newer.db")) as connection, connection:
        connection.execute(
            "INSERT INTO engine_store_migrations VALUES (999, 'future', 'checksum', '2100-01-01')"
        )
    line = refused(here, tmp_path, "--store", "sqlite:///newer.db")
    assert "the database has schema 999, this code knows up to" in line


def test_a_file_in_the_place_of_the_demos_folder_is_refused(here: Run, tmp_path: Path) -> None:
    (tmp_path / ".demo").write_text("mine")
    line = refused(here, tmp_path)
    assert ".demo cannot be made: File exists; name another place with --store" in line


def test_a_driver_that_is_not_installed_is_named_with_its_remedy(
    here: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, texts: Path
) -> None:
    monkeypatch.setattr("engine_store.drivers.discovery.entry_points", lambda group: ())
    discovery._entry_point.cache_clear()
    line = refused(here, tmp_path, "--input", str(texts), "--store", "sqlite:///engine.db")
    assert line == (
        "quickstart: no driver named 'sqlite' (installed: none). "
        'Install it: pip install "engine-store[sqlite]"\n'
    )


UNPRIVILEGED = """
import os, sys
import engine_store
from quickstart.cli import main
engine_store.open("sqlite:///:memory:").close()
if os.geteuid() == 0:  # nothing is forbidden to root
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
sys.exit(main(sys.argv[1:]))
"""


def test_a_directory_that_may_not_be_written_is_refused(
    environment: dict[str, str], examples: Path
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.txt").write_text("A text.")
        folder.chmod(0o555)
        ran = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, "--input", name],
            cwd=folder,
            env={
                **environment,
                "PYTHONPATH": str(examples),
                "QUICKSTART_STORE": "sqlite:///engine.db",
            },
            capture_output=True,
            text=True,
        )
        folder.chmod(0o755)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr == (
            f"quickstart: url: {folder} may not be written; change its permissions\n"
        )
        assert [path.name for path in folder.iterdir()] == ["a.txt"]


def test_a_damaged_database_is_not_available(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    engine_store.open(f"sqlite:///{path}").close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    ran = run("--store", "sqlite:///engine.db")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "quickstart: SQLite: the database is damaged; restore a backup\n"
