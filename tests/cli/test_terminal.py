"""The command line itself: help, wrong usage, colours, pipes, questions, interruptions."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

import engine_store
from engine_store import User, WorkflowState
from engine_store.cli.app import command_line
from engine_store.cli.lazy import MODULES
from engine_store.errors import (
    ConfigurationError,
    DriverLoadError,
    EngineStoreError,
    InvalidValueError,
    MigrationLockError,
    Problem,
    SchemaAheadError,
    UnavailableError,
    UnknownDriverError,
    UserNotFoundError,
)

Run = Callable[..., Any]

PATIENCE = 60

ANSI = re.compile("\x1b\\[")


def commands(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below this one, with the words that call it."""
    yield names, command
    if hasattr(command, "commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), *names, name)


EVERY = dict(commands(typer.main.get_command(command_line())))
COMMON = {"--config", "--url", "--db-driver", "--db-path", "--json"}
OF_THE_SUITE = {("conformance",), ("conformance-report",)}
"""Commands of another distribution, with a `--json` of their own."""


# --- help --------------------------------------------------------------------------------------


def test_there_are_these_commands() -> None:
    assert {names for names, command in EVERY.items() if not hasattr(command, "commands")} == {
        ("start",),
        ("check",),
        ("health",),
        ("drivers",),
        ("schema",),
        ("backup",),
        ("restore",),
        *(("migrate", name) for name in ("status", "plan", "up", "down", "verify")),
        *(("users", name) for name in ("list", "show", "create", "delete")),
        *(("keys", name) for name in ("bootstrap", "create", "list", "revoke")),
        ("export",),
        ("import",),
        ("copy",),
        *(("workflows", name) for name in ("list", "show", "events", "cancel", "delete", "purge")),
        *(("queues", name) for name in ("list", "expired")),
        *OF_THE_SUITE,
    }


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize("names", EVERY, ids=" ".join)
def test_help_is_80_columns_wide_and_says_what_each_option_is_for(
    names: tuple[str, ...], columns: str, here: Run
) -> None:
    done = here(*names, "--help", COLUMNS=columns)
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert not ANSI.search(done.out)
    assert not re.search(r"[a-z,]\.\.\.$", done.out, re.MULTILINE), "a summary was cut"
    assert "`" not in done.out
    for parameter in EVERY[names].params:
        assert parameter.help, parameter.name
        assert parameter.opts[-1] in done.out or parameter.human_readable_name in done.out


@pytest.mark.parametrize(
    "names",
    [
        names
        for names, command in EVERY.items()
        if names not in OF_THE_SUITE and not hasattr(command, "commands")
    ],
    ids=" ".join,
)
def test_every_command_has_the_common_options(names: tuple[str, ...]) -> None:
    options = {option for parameter in EVERY[names].params for option in parameter.opts}
    assert options >= COMMON


@pytest.mark.parametrize(
    "names",
    [("migrate", "down"), ("users", "delete"), ("workflows", "delete"), ("workflows", "purge")],
)
def test_what_deletes_has_a_dry_run_and_a_yes(names: tuple[str, ...]) -> None:
    options = {option for parameter in EVERY[names].params for option in parameter.opts}
    assert options >= {"--dry-run", "--yes"}


def test_the_script_shows_help_its_version_and_its_exit_codes(run: Run, here: Run) -> None:
    done = run("-h")
    assert done.code == 0
    assert re.sub(r"\s+", " ", done.out).endswith(
        "Exit codes: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 the database is "
        "unavailable, 70 a bug. "
    )
    assert here("--version").out == f"{version('engine-store')}\n"


@pytest.mark.parametrize(
    ("argument", "own", "plugins"),
    [
        ("--version", set(), False),
        ("users", {"users"}, False),
        ("copy", {"transfer"}, False),
        ("conformance", set(MODULES), True),
    ],
)
def test_a_call_imports_the_commands_it_needs(
    argument: str, own: set[str], plugins: bool, environment: dict[str, str]
) -> None:
    code = f"""
import sys
sys.argv[1:] = [{argument!r}, "--help"]
from engine_store.cli.app import run
assert run() == 0
sys.stderr.write(" ".join(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    loaded = set(done.stderr.split())
    assert {name for name in MODULES if f"engine_store.cli.{name}" in loaded} == own
    assert ("engine_store_contracts.command" in loaded) is plugins
    assert ("importlib.metadata" in loaded) is bool(own or plugins)


def test_without_the_extra_it_names_it(environment: dict[str, str]) -> None:
    code = "import sys; sys.modules['typer'] = None; import engine_store.cli as c; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'engine-store: the command line is an extra: pip install "engine-store[cli]"\n'
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_the_commands(shell: str, here: Run) -> None:
    variables = {
        "_ENGINE_STORE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "engine-store mi",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "engine-store mi",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    assert "migrate" in here(**variables).out
    source = here(_ENGINE_STORE_COMPLETE=f"source_{shell}").out
    assert "_ENGINE_STORE_COMPLETE" in source


# --- wrong usage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["health", "--nope"], "No such option: --nope"),
        (["health", "extra"], "unexpected extra argument"),
        (["users", "show"], "Missing argument"),
        (["users", "list", "--role", "king"], "--role"),
        (["workflows", "list", "--limit", "0"], "--limit"),
        (["workflows", "list", "--status", "DONE"], "--status"),
        (["workflows", "purge", "--yes"], "Missing option '--older-than'"),
        (["start", "--interval", "0"], "--interval"),
        (["migrate", "down", "zero"], "valid integer"),
        (["backup"], "Missing argument"),
        (["restore", "copy.db"], "Missing argument"),
        (["check", "--config", "none.yaml"], "none.yaml cannot be read: No such file or directory"),
        (["check", "--config", "engine.ini"], "expected a file .yaml, .yml, .toml"),
        (["check", "--url", "engine.db"], "expected scheme://"),
        (["health", "--db-driver", "mysql"], "no driver named 'mysql'"),
        (["users", "show", "", "--db-path", ":memory:"], "auto_migrate"),
        (["users", "create", "no-email", "--db-path", ":memory:"], "email"),
        (["users", "create", "a@b", "--id", "x" * 256, "--db-path", ":memory:"], "user_id"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_a_few_words_and_with_an_exit_code(
    arguments: list[str], said: str, here: Run
) -> None:
    done = here(*arguments)
    assert done.code == (1 if said == "auto_migrate" else 2)
    assert said in done.err + done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UserNotFoundError("ada"), 1, ["no user with id 'ada'"]),
        (SchemaAheadError(3, 2), 1, [str(SchemaAheadError(3, 2))]),
        (InvalidValueError("id", "expected text"), 2, ["id: expected text"]),
        (ConfigurationError("url", "wrong"), 2, ["url: wrong"]),
        (
            ConfigurationError.of("x", [Problem("a", "one", "file"), Problem("b", "two")]),
            2,
            ["a (file): one", "b: two"],
        ),
        (UnknownDriverError("x"), 2, ["no driver named 'x' (installed: none)."]),
        (
            DriverLoadError("x", "dist", "why\n  indeed", "Mend it"),
            2,
            ["driver 'x' of dist cannot be loaded: why indeed. Mend it"],
        ),
        (UnavailableError("gone"), 3, ["gone"]),
        (MigrationLockError(5), 3, [str(MigrationLockError(5))]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EngineStoreError) else "",
)
def test_each_error_of_the_library_has_an_exit_code(
    error: EngineStoreError, code: int, lines: list[str], here: Run, monkeypatch: Any
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine_store.cli.run.load", fail)
    done = here("users", "list")
    assert (done.code, done.out) == (code, "")
    assert done.err.splitlines() == [f"engine-store: {line}" for line in lines]


# --- colours and pipes -------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[engine_store.Store]:
    """The store in `engine.db`."""
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as opened:
        yield opened


@pytest.fixture
def hostile(store: engine_store.Store) -> str:
    """An id that would colour, clear and retitle a terminal, and looks like markup."""
    key = "[red]\x1b[31m\x1b]0;title\x07[/]"
    store.workflows.create(WorkflowState(key, "a\nb"))
    return key


def test_at_a_terminal_there_are_colours_unless_they_are_not_wanted(
    at_terminal: Run, store: engine_store.Store
) -> None:
    command = ("workflows", "list", "--db-path", "engine.db")
    store.workflows.create(WorkflowState("w", "w"))
    assert ANSI.search(at_terminal(*command).out)
    assert not ANSI.search(at_terminal(*command, NO_COLOR="1").out)


def test_without_a_terminal_there_are_none(here: Run, hostile: str) -> None:
    shown = [
        here(*command, "--db-path", "engine.db", FORCE_COLOR="")
        for command in (("workflows", "list"), ("workflows", "show", hostile), ("health",))
    ]
    assert [done.code for done in shown] == [0, 0, 0]
    assert not any(ANSI.search(done.out) or "\x07" in done.out for done in shown)
    assert r"[red]\x1b[31m\x1b]0;title\x07[/]" in shown[0].out
    assert shown[1].out == "[red]\\x1b[31m\\x1b]0;title\\x07[/]  a\\nb  PENDING\n"


def test_an_id_is_whole_however_narrow_the_terminal(
    at_terminal: Run, here: Run, store: engine_store.Store
) -> None:
    key = "k" * 120
    store.workflows.create(WorkflowState(key, "w"))
    assert key in here("workflows", "list", "--db-path", "engine.db", COLUMNS="40").out
    shown = at_terminal("workflows", "list", "--db-path", "engine.db").out
    assert ANSI.sub("", shown).count("k") >= 120
    assert "…" not in shown


def test_who_reads_a_pipe_may_stop_early(
    script: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    command = f"'{script}' schema | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_what_a_terminal_cannot_show_is_no_failure(run: Run, store: engine_store.Store) -> None:
    store.users.create(User("ada", "adä@example.org"))
    for form in ([], ["--json"]):
        done = run("users", "list", "--db-path", "engine.db", *form, PYTHONIOENCODING="ascii")
        assert done.code == 0
        assert "adä@example.org" in done.out


# --- questions and interruptions ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("y\n", 0, []), ("n\n", 1, ["ada"]), ("\x04", 130, ["ada"])]
)
def test_at_a_terminal_a_question_is_asked_before_anything_is_deleted(
    typed: str, code: int, left: list[str], at_terminal: Run, store: engine_store.Store
) -> None:
    store.users.create(User("ada", "ada@example.org"))
    done = at_terminal("users", "delete", "ada", "--db-path", "engine.db", typed=typed)
    assert "Delete ada@example.org and 0 keys? [y/N]: " in done.out
    assert done.code == code
    assert "Traceback" not in done.out
    assert [user.user_id for user in store.users.list().items] == left


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
def test_watching_goes_on_until_it_is_interrupted(
    form: list[str], script: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [str(script), "start", "--watch", "--interval", "0.1", "--db-path", "e.db", *form]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += "driver" in line
            if seen == 3:
                process.send_signal(signal.SIGINT)
                break
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.db"]  # closed: no log is left
