"""Whatever a command reads from and writes to, it ends with a line and its exit code.

`COMMANDS` in the environment makes more random commands than the usual run.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine_store
from engine_store import ApiKey, TaskState, User, WorkflowState
from engine_store.errors import DatabaseError
from engine_store.protocols import Store

Run = Callable[..., Any]

PATIENCE = 60

HOSTILE = "w\x1b[31m\x85\u202e\n"
"""Colours, a control character of the second block, a change of direction, a line."""

ANSWERS = [
    "check",
    "drivers",
    "export -",
    "health",
    "keys list",
    "migrate status",
    "schema",
    "users list --json",
    "workflows list",
]
"""Commands that answer with exit code 0."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store:
        yield store


@pytest.fixture
def hostile(store: Store) -> Store:
    """A store in which somebody else has chosen the names."""
    store.users.create(User(HOSTILE, "a@example.org"))
    store.api_keys.create(ApiKey(HOSTILE, HOSTILE, "es_x", b"f" * 32, b"h"))
    store.workflows.create(WorkflowState(HOSTILE, HOSTILE, input={HOSTILE: HOSTILE}))
    store.tasks.create(TaskState(HOSTILE, "t", HOSTILE, HOSTILE))
    return store


@pytest.fixture
def shell(
    unmeasured: None, script: Path, tmp_path: Path, environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command with its streams as a shell would make them, such as `2>&-`."""

    def run_it(
        *arguments: str | bytes, streams: str = "", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["sh", "-c", f'"$@" {streams}', "sh", str(script), *arguments],
            cwd=tmp_path,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )

    return run_it


# --- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("streams", "reason"),
    [(">/dev/full", b"No space left on device"), (">&-", b"Bad file descriptor")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize("command", ANSWERS)
def test_an_output_that_cannot_be_written_is_an_error(
    shell: Run, store: Store, command: str, streams: str, reason: bytes
) -> None:
    done = shell(*command.split(), "--db-path", "engine.db", streams=streams)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(b"engine-store: ")
    assert reason in line


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
@pytest.mark.parametrize("command", ANSWERS)
def test_a_command_goes_without_an_input_and_an_error_output(
    shell: Run, store: Store, command: str, streams: str
) -> None:
    done = shell(*command.split(), "--db-path", "engine.db", streams=streams)
    assert done.returncode == 0
    assert done.stdout


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
@pytest.mark.parametrize(
    ("command", "code"), [("users show nobody", 1), ("users sho", 2), ("users show", 2)]
)
def test_the_exit_code_tells_where_no_line_can(
    shell: Run, store: Store, command: str, code: int, streams: str
) -> None:
    done = shell(*command.split(), "--db-path", "engine.db", streams=streams)
    assert done.returncode == code
    assert done.stdout == b""


def test_nothing_is_written_into_a_database_as_if_it_were_a_closed_stream(
    shell: Run, store: Store, tmp_path: Path
) -> None:
    shell("health", "--write", "--db-path", "engine.db", streams=">&- 2>&- <&-")
    store.close()
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as again:
        assert again.health().ok
    assert (tmp_path / "engine.db").read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_terminal_of_another_encoding_gets_escapes(
    shell: Run, store: Store, encoding: str
) -> None:
    store.workflows.create(WorkflowState("日本", "é"))
    for command in ("list", "show 日本"):
        arguments = ("workflows", *command.split(), "--db-path", "engine.db")
        done = shell(*arguments, PYTHONIOENCODING=encoding)
        assert done.returncode == 0
        assert b"\\u65e5\\u672c" in done.stdout


# --- what somebody else wrote --------------------------------------------------------------------


def unprintable(text: bytes) -> str:
    """The characters of an output that a terminal would obey, but for the ends of its lines."""
    return "".join(each for each in text.decode() if not each.isprintable() and each != "\n")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["shown", "json"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list"],
        ["users", "show", HOSTILE],
        ["users", "delete", HOSTILE, "--dry-run"],
        ["keys", "list"],
        ["keys", "revoke", HOSTILE, "--dry-run"],
        ["workflows", "list"],
        ["workflows", "show", HOSTILE],
        ["workflows", "delete", HOSTILE, "--dry-run"],
        ["workflows", "show", f"not {HOSTILE}"],
        ["keys", "revoke", f"not {HOSTILE}", "--yes"],
        ["users", "create", "a@example.org", "--id", HOSTILE],
        ["users", "create", HOSTILE],
        ["backup", HOSTILE],
        ["export", f"{HOSTILE}/x"],
        ["health", "--url", f"sqlite:///{HOSTILE}"],
        ["start", "--url", f"sqlite:///{HOSTILE}/x"],
        [HOSTILE],
        ["users", f"--{HOSTILE}"],
    ],
    ids=ascii,
)
def test_no_character_of_a_name_is_obeyed_by_a_terminal(
    shell: Run, hostile: Store, arguments: list[str], form: list[str]
) -> None:
    named = [] if "--url" in arguments else ["--db-path", "engine.db"]
    done = shell(*arguments, *named, *form)
    assert done.returncode in (0, 1, 2, 3)
    assert unprintable(done.stdout + done.stderr) == ""


def test_a_row_that_differs_is_shown_in_one_line(
    shell: Run, hostile: Store, tmp_path: Path
) -> None:
    assert shell("export", "rows.jsonl", "--db-path", "engine.db").returncode == 0
    state = hostile.workflows.get(HOSTILE)
    hostile.workflows.update(state.evolve(output={}))
    done = shell("import", "rows.jsonl", "--skip-existing", "--db-path", "engine.db")
    assert done.returncode == 1
    assert unprintable(done.stdout) == ""
    assert ascii(HOSTILE)[1:-1].encode() in done.stdout


# --- bugs ----------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def health(self: object) -> None:
        raise KeyError("what is stored")

    monkeypatch.setattr("engine_store.sql.stores.SqlStore.health", health)


def test_a_bug_is_one_line_that_quotes_nothing(here: Run, store: Store, broken: None) -> None:
    done = here("health", "--db-path", "engine.db")
    assert (done.code, done.out) == (70, "")
    assert done.err.startswith("engine-store: a bug: KeyError in ")
    assert done.err.count("\n") == 1
    assert "what is stored" not in done.err


def test_a_schema_that_was_changed_by_others_is_no_bug(here: Run, store: Store) -> None:
    store.engine.pool.writer.raw.execute("DROP TABLE api_keys")  # type: ignore[attr-defined]
    with pytest.raises(DatabaseError):
        store.api_keys.list()
    done = here("keys", "list", "--db-path", "engine.db")
    assert done.code == 1
    assert "no such table: main.api_keys" in done.err


# --- anything ------------------------------------------------------------------------------------

WORDS = [
    *("check", "start", "health", "drivers", "schema", "migrate", "users", "keys", "workflows"),
    *("status", "plan", "verify", "list", "show", "create", "delete", "revoke", "purge", "up"),
    *("export", "import", "copy", "backup", "--json", "--dry-run", "--yes", "--write", "--limit"),
    *("--config", "--url", "--db-path", "--db-driver", "--cursor", "--older-than", "--status"),
    *("-", "engine.db", "rows.jsonl", "sqlite:///engine.db", "postgresql://x:%zz@/y", "memory://"),
    *("", "w", "1", "-1", "1e9", "9" * 30, "30d", ".", "/", "/dev/full", "/dev/null", "..", "~"),
    *("x" * 300, "x" * 5000, HOSTILE, "\x7f", "é", "日本", "--", "-h", "--version", "[red]", "%s"),
    b"\xff\xfe",
    b"sqlite:///\xff",
]
STREAMS = ["", ">/dev/full", ">&-", "2>&-", "2>/dev/full", "<&-", "<&- >&- 2>&-", "| true"]
ENCODINGS = ["utf-8", "ascii", "latin-1", "utf-16"]


def test_no_command_ends_in_a_traceback(shell: Run, hostile: Store) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    for number in range(int(os.environ.get("COMMANDS", "20"))):
        words = chance.choices(WORDS, k=chance.randint(1, 6))
        streams, encoding = chance.choice(STREAMS), chance.choice(ENCODINGS)
        said = f"seed {seed}, command {number}: {words} {streams} {encoding}"
        done = shell(*words, streams=streams, PYTHONIOENCODING=encoding)
        assert done.returncode in (0, 1, 2, 3), (said, done)
        assert b"Traceback" not in done.stderr, (said, done)
        assert len(done.stderr.splitlines()) <= 6, (said, done)
