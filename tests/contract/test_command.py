"""The command `engine-store`: what it says, what its exit codes are, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
from attrs import frozen

import engine_store
from engine_store_contracts import report
from engine_store_contracts.report import Level, Outcome

COMMAND = Path(sys.executable).with_name("engine-store")
PATIENCE = 60.0


@frozen
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(scope="module")
def command(environment: dict[str, str]) -> Command:
    """Runs `engine-store` in a folder."""

    def command(folder: Path, *arguments: str | Path) -> Done:
        done = subprocess.run(
            [COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return command


class TestWhatCannotBegin:
    """One line, and exit code 2."""

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["mysql://x"], "no driver named 'mysql'"),
            (
                ["postgresql://user:se%63ret@127.0.0.1:1/x"],
                "PostgreSQL at 127.0.0.1, database x: connection failed: ",
            ),
            (["postgresql://user:se%63ret@127.0.0.1:port/x"], "options.port: expected"),
            (["sqlite:engine.db"], "expected scheme://"),
            (["sqlite:///nowhere/engine.db"], "No such file or directory"),
            (["sqlite:///engine.db", "--json=nowhere/r.json"], "nowhere/r.json cannot be written"),
            (["sqlite:///engine.db", "--html=."], ". cannot be written"),
            (
                ["sqlite:///engine.db", "--clause=2.3", "--clause=2.33"],
                "2.33 is no clause of the contract; section 2 has 2.1 to 2.9",
            ),
        ],
        ids=[
            *("unknown driver", "no server", "no port", "no URL", "no folder"),
            *("no folder of the report", "a folder as the report", "no clause"),
        ],
    )
    def test_a_run(self, command, tmp_path, arguments, says) -> None:
        done = command(tmp_path, "conformance", *arguments)
        assert (done.code, done.out) == (2, "")
        [line] = done.err.splitlines()
        assert line.startswith("engine-store: ")
        assert says in line
        assert "secret" not in line
        assert "se%63ret" not in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("text", [None, "", "{}", b"\xff"])
    def test_the_merging_of_what_is_no_report(self, command, tmp_path, text) -> None:
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / "one.json").write_bytes(data)
        done = command(tmp_path, "conformance-report", "one.json", "--html=both.html")
        assert (done.code, done.out) == (2, "")
        [line] = done.err.splitlines()
        assert line.startswith("engine-store: report: ")
        assert not (tmp_path / "both.html").exists()


@frozen
class Partial:
    """What came of a run of one clause, beside a database that was there."""

    done: Done
    folder: Path
    before: tuple[bytes, int]


def state_of(database: Path) -> tuple[bytes, int]:
    return database.read_bytes(), database.stat().st_mtime_ns


@pytest.fixture(scope="module")
def partial(tmp_path_factory, command) -> Partial:
    """A run of one clause."""
    folder = tmp_path_factory.mktemp("partial")
    with engine_store.open(f"sqlite:///{folder}/engine.db"):
        pass
    before = state_of(folder / "engine.db")
    (folder / "conftest.py").write_text("import of_another_project", "utf-8")
    options = ("--clause=9.4", "--seed=7", "--json=one.json", "--html=one.html", "--jobs=1")
    done = command(folder, "conformance", "sqlite:///engine.db", *options)
    return Partial(done, folder, before)


@pytest.mark.xdist_group("partial")
class TestAPartOfTheContract:
    def test_it_earns_nothing_and_says_so(self, partial) -> None:
        assert (partial.done.code, partial.done.err) == (1, "")
        part = "4 of 4 cases of clause 9.4 passed; no level, for a part of the suite earns none"
        assert f": {part}\n" in partial.done.out
        assert "4 passed, 0 failed, 0 unsupported, " in partial.done.out

    def test_its_reports_are_written(self, partial) -> None:
        [run] = report.read((partial.folder / "one.json").read_text("utf-8")).runs
        assert (run.driver, run.level, run.seeds) == ("sqlite", Level.NONE, (7,))
        assert run.counted(Outcome.PASSED) == 4
        assert run.counted(Outcome.NOT_RUN) == len(run.cases) - 4
        assert "level none" in (partial.folder / "one.html").read_text("utf-8")

    def test_the_database_is_not_touched(self, partial) -> None:
        assert state_of(partial.folder / "engine.db") == partial.before

    def test_nothing_else_is_left_behind(self, partial) -> None:
        names = {path.name for path in partial.folder.iterdir()}
        assert names == {"engine.db", "conftest.py", "one.json", "one.html"}

    def test_reports_are_put_together(self, command, partial, tmp_path) -> None:
        one = partial.folder / "one.json"
        options = (one, one, "--json=two.json", "--html=two.html")
        done = command(tmp_path, "conformance-report", *options)
        assert (done.code, done.err, done.out.count("no level, ")) == (0, "", 2)
        [run] = report.read(one.read_text("utf-8")).runs
        assert report.read((tmp_path / "two.json").read_text("utf-8")).runs == (run, run)
        page = (tmp_path / "two.html").read_text("utf-8")
        assert (page.count('#run-1"'), page.count('#run-2"'), page.count("<h2 ")) == (1, 1, 2)


def wait_for_cases(process: subprocess.Popen[str]) -> None:
    """Wait for the first line of progress: cases have run."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert re.search(r"one\.db: [1-9][0-9]* of [0-9]+ cases, 0 failed", line), line


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_it_and_leaves_nothing_behind(environment, tmp_path, jobs) -> None:
    report_file = tmp_path / "report.json"
    folder = tmp_path / "databases"
    folder.mkdir()
    options = (f"--jobs={jobs}", f"--json={report_file}")
    urls = (f"sqlite:///{folder}/one.db", f"sqlite:///{folder}/two.db")
    process = subprocess.Popen(
        [COMMAND, "conformance", *urls, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for_cases(process)
        started = children(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert "engine-store: interrupted\n" in err
    assert "the run was interrupted: by the keyboard\n" in out
    _, alive = psutil.wait_procs(started, timeout=0)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert list(folder.iterdir()) == []
    assert [run.level for run in report.read(report_file.read_text("utf-8")).runs] == [Level.NONE]


class TestTheCommandItself:
    def test_its_version(self, command, tmp_path) -> None:
        done = command(tmp_path, "--version")
        assert done == Done(0, f"{version('engine-store')}\n", "")

    def test_without_arguments_it_shows_its_help(self, command, tmp_path) -> None:
        done = command(tmp_path)
        assert "Usage: engine-store" in done.out + done.err
        assert "conformance-report" in done.out + done.err
