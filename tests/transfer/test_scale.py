"""Large stores are moved in constant memory, and what was killed half-way is resumed.

1,000 workflows with 20,000 tasks of a kilobyte are 34 MB of lines, and as many in memory if they
were held there. Measured were 4 MB at most, which is SQLite's cache; and 8 s for all three steps.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engine_store
from engine_store import transfer
from engine_store.models import Status
from engine_store.rules.entities import Row
from engine_store.transfer import format as export_format
from engine_store_contracts.clock import START
from engine_store_contracts.suite import samples

pytestmark = [
    pytest.mark.xdist_group("scale"),  # first: it takes the longest
    pytest.mark.usefixtures("unmeasured"),  # the other tests of transfers run the same lines
]

WORKFLOWS, TASKS = 1_000, 20
AT_MOST = 12 * 2**20
"""What each step may take in memory, in bytes."""

MEASURED = """
    import resource, sys
    import engine_store
    from engine_store import transfer

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    path, again, sqlite, postgres = sys.argv[1:]
    with engine_store.open(sqlite) as one, engine_store.open(postgres) as other:
        before = peak()
        transfer.import_(one, path)
        imported = peak()
        transfer.copy(one, other)
        copied = peak()
        transfer.export(other, again)
        print(imported - before, copied - imported, peak() - copied)
"""


def many_rows(workflows: int = WORKFLOWS) -> Iterator[Row]:
    """A user with keys; workflows, newest first, each with tasks in a tree."""
    stamps = {"version": 3, "created_at": START, "updated_at": START}
    yield samples.user("ann", **stamps)
    for number in range(10):
        yield samples.api_key(f"k{number}", created_at=START)
    document = {"text": "0123456789abcdef" * 60}
    for workflow in reversed(range(workflows)):
        key = f"w{workflow:05}"
        yield samples.workflow(key, status=Status.SUCCESS, input=document, **stamps)
        for number in range(TASKS):
            parent = f"{key}-{number // 4:02}" if number else None
            yield samples.task(
                f"{key}-{number:02}",
                key,
                task_id=f"step-{number}",
                parent_state_id=parent,
                output=document,
                usage=samples.USAGE,
                **stamps,
            )


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An export of many rows."""
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        export_format.write(many_rows(), file)
    return path


def test_20_000_tasks_go_there_and_back_without_being_held_in_memory(
    large: Path, tmp_path: Path, postgres_store_url: str
) -> None:
    again, sqlite = tmp_path / "again.jsonl", f"sqlite:///{tmp_path}/engine.db"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURED), large, again, sqlite, postgres_store_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert again.read_bytes() == large.read_bytes()
    taken = [int(step) for step in done.stdout.split()]
    assert max(taken) < AT_MOST, taken


# --- killed half-way ----------------------------------------------------------------------

KILLED_IN_A_BATCH = """
    import io, sys
    import engine_store
    from engine_store import transfer

    class Stalls(io.FileIO):
        '''Stops in the middle of the second batch, when the file is read for the second time.'''
        lines = 0

        def readline(self, size=-1):
            self.lines += 1
            if self.lines == 2113 + 750:
                print("stalled", flush=True)
                sys.stdin.read()
            return super().readline(size)

    with engine_store.open(sys.argv[2]) as store:
        transfer.import_(store, Stalls(sys.argv[1]))
"""

KILLED_BEHIND_A_BATCH = """
    import sys
    import engine_store
    from engine_store import transfer

    def stall(kind, done):
        if kind == "task" and done > 1000:
            print("stalled", flush=True)
            sys.stdin.read()

    with engine_store.open(sys.argv[1]) as source, engine_store.open(sys.argv[2]) as store:
        transfer.copy(source, store, progress=stall)
"""


def killed(program: str, *arguments: object) -> None:
    """Run the program until it stalls, and kill it there."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
        process.kill()
        assert process.wait(60) == -signal.SIGKILL


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """An export of 100 workflows: 2,111 rows."""
    path = tmp_path / "hundred.jsonl"
    with path.open("wb") as file:
        export_format.write(many_rows(100), file)
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path, make_schema: Callable[..., str]) -> str:
    """Where to; a database that outlives its process."""
    return f"sqlite:///{tmp_path}/target.db" if request.param == "sqlite" else make_schema()


def exported(store: engine_store.Store) -> bytes:
    file = io.BytesIO()
    transfer.export(store, file)
    return file.getvalue()


def test_an_import_that_was_killed_in_a_batch_is_resumed(hundred: Path, url: str) -> None:
    killed(KILLED_IN_A_BATCH, hundred, url)
    with engine_store.open(url) as store:
        assert sum(transfer.checksum(store).counts.values()) == 500  # one batch, and no half of one
        report = transfer.import_(store, hundred, existing="skip")
        assert sum(report.restored.values()) == 2111 - 500
        assert report.identical
        assert exported(store) == hundred.read_bytes()


def test_a_copy_that_was_killed_is_resumed(hundred: Path, url: str, tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/source.db"
    with engine_store.open(source) as store:
        transfer.import_(store, hundred)
    killed(KILLED_BEHIND_A_BATCH, source, url)
    with engine_store.open(source) as store, engine_store.open(url) as target:
        report = transfer.copy(store, target, existing="skip")
        assert sum(report.restored.values()) == 2111 - 1500
        assert report.identical
        assert exported(target) == hundred.read_bytes()
