"""Each command on each driver: what it does, what it answers, and its exit code."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import engine_store
from engine_store import Component, Status, TaskState, User, WorkflowState
from engine_store.migrations import Migration
from engine_store.models import ApiKey, Role

Run = Callable[..., Any]

TEXT, WHOLE, TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXT_OR_NOTHING = {"type": ["string", "null"]}


def section(**properties: Any) -> dict[str, Any]:
    """An object with exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def several(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


HEALTH = section(
    driver=TEXT,
    can_read=TRUTH,
    can_write=TRUTH,
    schema_version=WHOLE,
    problem=TEXT_OR_NOTHING,
    details={"type": "object"},
    read_only=TRUTH,
)
RESET_BUG = "the WAL-reset bug"
"""In a note that `check` and `start` give on some machines."""

FINDING = section(severity={"enum": ["error", "warning", "note"]}, field=TEXT, message=TEXT)
CHECK = section(ok=TRUTH, driver=TEXT_OR_NOTHING, findings=several(FINDING))
CAPABILITY = section(supported=TRUTH, reason=TEXT)
DRIVERS = several(
    section(
        name=TEXT,
        distribution=TEXT_OR_NOTHING,
        version=TEXT_OR_NOTHING,
        capabilities={"type": "object", "additionalProperties": CAPABILITY},
        problem=TEXT_OR_NOTHING,
    )
)
STEPS = several(section(version=WHOLE, name=TEXT, applied_at=TEXT_OR_NOTHING))
PLAN = section(
    direction={"enum": ["up", "down"]},
    steps=several(section(version=WHOLE, name=TEXT)),
    sql=TEXT,
)
VERIFIED = section(ok=TRUTH, problem=TEXT_OR_NOTHING)
USER = section(
    user_id=TEXT,
    email=TEXT,
    role={"enum": ["admin", "user"]},
    version=WHOLE,
    created_at=TEXT,
    updated_at=TEXT,
)
USER_GONE = section(user_id=TEXT, keys=WHOLE, dry_run=TRUTH)
WORKFLOW = {
    "type": "object",
    "required": ["workflow_exec_id", "workflow_id", "status", "input", "version", "created_at"],
}
WORKFLOWS = section(items=several(WORKFLOW), next_cursor=TEXT_OR_NOTHING)
TREE = section(
    workflow=WORKFLOW,
    tasks=several(
        {
            "type": "object",
            "required": ["task_exec_id", "parent_state_id", "status", "queue", "attempt", "due_at"],
        }
    ),
    events=several({"type": "object", "required": ["number", "kind", "data", "task_exec_id"]}),
)
WORKFLOW_GONE = section(workflow_exec_id=TEXT, dry_run=TRUTH)
PURGED = {"type": "object", "required": ["workflows", "tasks"]}
BACKUP = section(target=TEXT, bytes=WHOLE)
RESTORE = section(file=TEXT, bytes=WHOLE)


def answered(done: Any, schema: dict[str, Any], code: int = 0) -> Any:
    """The answer of a command with `--json`, which has this form."""
    assert (done.code, done.err) == (code, "")
    Draft202012Validator(schema).validate(done.json)
    return done.json


@pytest.fixture
def driver(url: str) -> str:
    """The name of the driver."""
    return "sqlite" if url.startswith("sqlite") else "postgres"


@pytest.fixture
def steps(driver: str, steps_of: Callable[[str], tuple[Migration, ...]]) -> tuple[Migration, ...]:
    """The steps of its schema."""
    return steps_of(driver)


@pytest.fixture
def filled(url: str) -> str:
    """The URL of a store with two users, and two workflows of which one has tasks."""
    moment = datetime.fromisoformat("2024-01-31T12:00:00+00:00")
    with engine_store.open(url, clock=lambda: moment) as store:
        store.users.create(User("ada", "ada@example.org", Role.ADMIN))
        store.users.create(User("bob", "bob@example.org", Role.USER))
        for number in range(3):
            digit = bytes([number]) * 32
            store.api_keys.create(ApiKey(f"key-{number}", "bob", f"es_{number}", digit, b"hash"))
        store.workflows.create(WorkflowState("old", "report", status=Status.SUCCESS))
        store.workflows.create(WorkflowState("new", "report"))
        for key, parent in (("root", None), ("leaf", "root"), ("other", None)):
            task = TaskState(
                task_exec_id=key,
                task_id=f"task-{key}",
                workflow_exec_id="old",
                workflow_id="report",
                component=Component.TASK,
                parent_state_id=parent,
            )
            store.tasks.create(task, allow_ended=True)
    return url


# --- whether a store can be used ---------------------------------------------------------------


def test_start_opens_migrates_logs_and_reports(
    run: Run, here: Run, url: str, driver: str, steps: tuple[Migration, ...]
) -> None:
    newest = len(steps)
    done = run("start", "--url", url, "--json")
    assert done.code == 0
    Draft202012Validator(HEALTH).validate(done.json)
    *lines, last = [line for line in done.err.splitlines() if RESET_BUG not in line]
    assert [line.partition(" driver=")[0] for line in lines] == ["INFO schema step up"] * newest
    started = f"INFO store started driver={driver} mode=auto-migrate schema_version={newest} "
    assert last.startswith(started)
    again = here("start", "--url", url)
    assert again.code == 0
    assert [line.split() for line in again.out.splitlines()[:4]] == [
        ["driver", driver],
        ["reads", "yes"],
        ["writes", "yes"],
        ["schema", "version", str(newest)],
    ]
    assert len(again.err.splitlines()) == 1


def test_health_says_what_the_store_can_do(
    run: Run, here: Run, filled: str, steps: tuple[Migration, ...]
) -> None:
    newest = len(steps)
    found = answered(run("health", "--url", filled, "--json"), HEALTH)
    assert (found["can_read"], found["can_write"], found["schema_version"]) == (True, True, newest)
    lines = [line.split() for line in here("health", "--url", filled).out.splitlines()]
    assert ["reads", "yes"] in lines
    assert ["schema", "version", str(newest)] in lines


def test_a_command_that_looks_changes_nothing(
    here: Run, url: str, tmp_path: Path, steps: tuple[Migration, ...]
) -> None:
    for command in (("health",), ("users", "list"), ("workflows", "list")):
        done = here(*command, "--url", url)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            f"engine-store: there is no schema yet, this code needs {len(steps)}; see that it is "
            "the database you mean, then run `engine-store migrate up` or store.migrator.up(), or "
            "open it with auto_migrate=True\n"
        )
    assert list(tmp_path.iterdir()) == []


def test_check_says_that_a_configuration_is_valid(
    run: Run, here: Run, url: str, tmp_path: Path
) -> None:
    done = here("check", "--url", url)
    scheme = url.partition(":")[0]
    assert (done.code, done.out) == (0, f"the configuration is valid; driver {scheme}\n")
    found = answered(run("check", "--url", url, "--json"), CHECK)
    for note in found.pop("findings"):
        assert note["severity"] == "note"
        assert RESET_BUG in note["message"]
    assert found == {"ok": True, "driver": scheme}
    assert list(tmp_path.iterdir()) == []


def test_check_lists_warnings_and_errors_and_opens_nothing(here: Run, tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(
        "database: {driver: sqlite, path: engine.db}\nworker: {max_concurrent_workflows: 999}\n"
        "knowledge: {vector_dbs: [{id: v, provider: pgvector, dimension: 3}]}\n"
    )
    done = here("check", "--config", file)
    assert done.code == 2
    error, warning = done.out.splitlines()
    assert error.startswith("error knowledge.vector_dbs: sqlite has no pgvector: ")
    assert warning.startswith("warning worker.max_concurrent_workflows: 999 is more than the ")
    found = answered(here("check", "-c", file, "--json"), CHECK, code=2)
    assert [one["severity"] for one in found["findings"]] == ["error", "warning"]
    file.write_text("database: {driver: sqlite, path: engine.db}\nknowledge:\n  vector_dbs: []\n")
    done = here("check", "-c", file)
    assert done.code == 0
    assert done.out.splitlines()[1] == "the configuration is valid; driver sqlite"
    assert [path.name for path in tmp_path.iterdir()] == ["engine.yaml"]


def test_check_lists_every_mistake_with_its_source(here: Run, tmp_path: Path) -> None:
    file = tmp_path / "engine.toml"
    file.write_text("[database]\ndriver='sqlite'\npth='a'\nreaders=0\n[worker]\nthreads=3")
    expected = [
        ("database.pth (engine.toml)", "no setting is called so; did you mean path?"),
        ("database.readers (engine.toml)", "expected 1 or more"),
        (
            "worker.threads (engine.toml)",
            "no setting is called so; there are max_concurrent_workflows",
        ),
    ]
    done = here("check", "-c", file)
    assert done.code == 2
    assert done.out.splitlines() == [f"error {place}: {said}" for place, said in expected]
    found = answered(here("check", "-c", file, "--json"), CHECK, code=2)
    assert [(one["field"], one["message"]) for one in found["findings"]] == expected
    # every other command says the same, as an error
    started = here("health", "-c", file)
    assert (started.code, started.out) == (2, "")
    assert started.err.splitlines() == [
        f"engine-store: {place}: {said}" for place, said in expected
    ]


def test_drivers_lists_what_is_installed(run: Run, here: Run) -> None:
    found = answered(run("drivers", "--json"), DRIVERS)
    names = ["mariadb", "memory", "postgres", "postgresql", "sqlite"]
    assert [driver["name"] for driver in found] == names
    _, _, postgres, _, sqlite = found
    assert (sqlite["distribution"], sqlite["version"]) == ("engine-store-sqlite", "0.1.0")
    assert sqlite["capabilities"]["concurrent_writers"]["supported"] is False
    assert postgres["capabilities"]["vectors"] == {"supported": True, "reason": ""}
    header, *lines = here("drivers").out.splitlines()
    assert header.split() == ["driver", "distribution", "cannot"]
    assert [line.split()[0] for line in lines if line[0] != " "] == names


def test_a_driver_that_cannot_be_loaded_is_listed_with_its_remedy(
    here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "more" / "x_broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: x-broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[engine_store.drivers]\nbroken = x_none\n[engine_store.commands]\nbroken = x_none:app\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "more")
    done = here("drivers", "--json")
    assert done.code == 1
    Draft202012Validator(DRIVERS).validate(done.json)
    [broken] = [driver for driver in done.json if driver["name"] == "broken"]
    assert (broken["distribution"], broken["version"]) == ("x-broken", "1.0")
    assert broken["problem"] == (
        "driver 'broken' of x-broken cannot be loaded: ModuleNotFoundError: No module named "
        "'x_none'. Install it again: pip install --force-reinstall x-broken"
    )
    said = "engine-store: the commands of x-broken are missing: "
    assert done.err == ""
    assert here("--help").err.startswith(f"{said}ModuleNotFoundError")
    assert "pip install --force-reinstall x-broken\n" in here("drivers").out


def test_schema_prints_a_schema_for_editors(run: Run, here: Run) -> None:
    done = run("schema")
    assert done == here("schema", "--json")
    Draft202012Validator.check_schema(done.json)
    assert Draft202012Validator(done.json).is_valid({"database": {"driver": "sqlite"}})


# --- migrate -----------------------------------------------------------------------------------


def test_steps_are_planned_applied_listed_verified_and_reverted(
    run: Run, here: Run, url: str, steps: tuple[Migration, ...]
) -> None:
    names = [step.name for step in steps]

    scripts = {"status", "plan", "up", "verify", "down"}  # each is run as one once

    def migrate(schema: dict[str, Any], *arguments: str, code: int = 0) -> Any:
        call = here
        if arguments[0] in scripts:
            scripts.remove(arguments[0])
            call = run
        return answered(call("migrate", *arguments, "--url", url, "--json"), schema, code)

    nothing = [None] * len(steps)
    assert [step["applied_at"] for step in migrate(STEPS, "status", code=1)] == nothing
    planned = migrate(PLAN, "plan", "--target", "2")
    assert [step["name"] for step in planned["steps"]] == names[:2]
    assert "CREATE TABLE" in planned["sql"]
    assert [step["applied_at"] for step in migrate(STEPS, "status", code=1)] == nothing
    applied = migrate(PLAN, "up")
    assert (applied["direction"], [step["name"] for step in applied["steps"]]) == ("up", names)
    assert applied["sql"].startswith(planned["sql"].rstrip())
    assert [step["name"] for step in migrate(STEPS, "status")] == names
    assert migrate(VERIFIED, "verify") == {"ok": True, "problem": None}
    dry = migrate(PLAN, "down", "1", "--dry-run")
    assert (dry["direction"], [step["name"] for step in dry["steps"]]) == ("down", names[:0:-1])
    assert all(step["applied_at"] for step in migrate(STEPS, "status"))
    assert migrate(PLAN, "down", "1", "--yes") == dry
    assert [bool(step["applied_at"]) for step in migrate(STEPS, "status", code=1)] == [
        step.version <= 1 for step in steps
    ]


def test_steps_in_words(here: Run, url: str, steps: tuple[Migration, ...]) -> None:
    def migrate(*arguments: str) -> Any:
        return here("migrate", *arguments, "--url", url)

    names = [f"{step.version} {step.name}" for step in steps]
    assert migrate("up").out == f"applied: {', '.join(names)}\n"
    assert migrate("up").out == "nothing to do\n"
    assert migrate("plan").out == "nothing to do\n"
    assert migrate("verify").out == "the schema is that of the code\n"
    header, *lines = migrate("status").out.splitlines()
    assert header.split() == ["step", "name", "applied"]
    assert [" ".join(line.split()[:2]) for line in lines] == names
    assert "DROP TABLE" in migrate("down", "2", "--dry-run").out
    refused = migrate("down", "2")
    assert (refused.code, refused.out) == (2, "")
    later = ", ".join(names[:1:-1])
    assert refused.err == (
        f"engine-store: --yes: Revert {later} and lose their data? Say so with --yes, or look with "
        "--dry-run\n"
    )
    assert migrate("down", "2", "--yes").out == f"reverted: {later}\n"
    assert migrate("down", "2", "--yes").out == "nothing to do\n"
    beyond = migrate("up", "--target", "9")
    assert beyond.code == 2
    assert f"expected 0 to {len(steps)}, found 9" in beyond.err


def test_verify_says_how_a_schema_differs(here: Run, tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    engine_store.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    found = answered(here("migrate", "verify", "--db-path", path, "--json"), VERIFIED, code=1)
    assert "mine" in found["problem"]
    shown = here("migrate", "verify", "--db-path", path)
    assert (shown.code, shown.out) == (1, f"{found['problem']}\n")


# --- users -------------------------------------------------------------------------------------


def test_a_user_is_created_shown_listed_and_deleted(run: Run, here: Run, url: str) -> None:
    scripts = {"create", "show", "list", "delete"}  # each is run as one once

    def users(schema: dict[str, Any], *arguments: str) -> Any:
        call = here
        if arguments[0] in scripts:
            scripts.remove(arguments[0])
            call = run
        return answered(call("users", *arguments, "--url", url, "--json"), schema)

    made = users(USER, "create", "ada@example.org", "--role", "admin", "--id", "ada")
    assert (made["user_id"], made["email"], made["role"]) == ("ada", "ada@example.org", "admin")
    other = users(USER, "create", "bob@example.org")
    assert other["role"] == "user"
    assert users(USER, "show", "ada") == made
    assert users(several(USER), "list") == [made, other]
    assert users(several(USER), "list", "--role", "user") == [other]
    gone = {"user_id": "ada", "keys": 0, "dry_run": True}
    assert users(USER_GONE, "delete", "ada", "--dry-run") == gone
    assert users(several(USER), "list") == [made, other]
    assert users(USER_GONE, "delete", "ada", "--yes") == gone | {"dry_run": False}
    assert users(several(USER), "list") == [other]


def test_users_in_words(here: Run, filled: str) -> None:
    def users(*arguments: str) -> Any:
        return here("users", *arguments, "--url", filled)

    assert users("list").out.splitlines() == [
        "id   email            role   created",
        "ada  ada@example.org  admin  2024-01-31 12:00:00+00:00",
        "bob  bob@example.org  user   2024-01-31 12:00:00+00:00",
    ]
    assert users("delete", "bob", "--dry-run").out == "would delete bob@example.org and 3 keys\n"
    asked = users("delete", "bob")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        "engine-store: --yes: Delete bob@example.org and 3 keys? Say so with --yes, or look with "
        "--dry-run\n"
    )
    assert users("delete", "bob", "--yes").out == "deleted bob@example.org and 3 keys\n"
    missing = users("show", "bob")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "engine-store: no user with id 'bob'\n"
    taken = users("create", "ADA@example.org")
    assert (taken.code, taken.err) == (
        1,
        "engine-store: user with email 'ADA@example.org' exists already\n",
    )


# --- workflows ---------------------------------------------------------------------------------


def test_workflows_are_listed_page_by_page(run: Run, here: Run, filled: str) -> None:
    def workflows(*arguments: str) -> Any:
        return answered(here("workflows", "list", *arguments, "--url", filled, "--json"), WORKFLOWS)

    def ids(page: Any) -> list[str]:
        return [item["workflow_exec_id"] for item in page["items"]]

    whole = answered(run("workflows", "list", "--url", filled, "--json"), WORKFLOWS)
    assert sorted(ids(whole)) == ["new", "old"]
    first = workflows("--limit", "1")
    second = workflows("--limit", "1", "--cursor", first["next_cursor"])
    assert sorted(ids(first) + ids(second)) == ["new", "old"]
    assert second["next_cursor"] is None
    assert ids(workflows("--status", "SUCCESS")) == ["old"]
    assert sorted(ids(workflows("--status", "SUCCESS", "--status", "PENDING"))) == ["new", "old"]
    assert ids(workflows("--workflow", "other")) == []
    header, line, more = here("workflows", "list", "--limit", "1", "--url", filled).out.splitlines()
    assert header.split() == ["execution", "workflow", "status", "version", "created"]
    assert line.split()[1:4:2] == ["report", "1"]
    assert more == f"more: --cursor {first['next_cursor']}"


def test_a_workflow_is_shown_as_the_tree_of_its_tasks(run: Run, here: Run, filled: str) -> None:
    shown = answered(run("workflows", "show", "old", "--url", filled, "--json"), TREE)
    assert shown["workflow"]["status"] == "SUCCESS"
    assert {task["task_exec_id"]: task["parent_state_id"] for task in shown["tasks"]} == {
        "root": None,
        "leaf": "root",
        "other": None,
    }
    drawn = here("workflows", "show", "old", "--url", filled).out.splitlines()
    assert drawn[0] == "old  report  SUCCESS"
    assert [line.strip("│├└─ ").split()[0] for line in drawn[1:]] == [
        "task-other",
        "task-root",
        "task-leaf",
    ]
    assert drawn[3].startswith("    └── ")
    missing = here("workflows", "show", "none", "--url", filled)
    assert (missing.code, missing.out) == (1, "")
    assert missing.err == "engine-store: no workflow execution with id 'none'\n"


def test_a_deep_tree_has_a_line_for_each_task_and_none_is_long(here: Run, tmp_path: Path) -> None:
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store, store.transaction() as tx:
        tx.workflows.create(WorkflowState("w", "x"))
        for number in range(500):
            parent = f"t{number - 1}" if number else None
            tx.tasks.create(TaskState("w", f"t{number}", f"t{number}", "x", parent_state_id=parent))
    lines = here("workflows", "show", "w", "--db-path", "engine.db").out.splitlines()
    assert len(lines) == 501
    assert max(map(len, lines)) < 110
    assert lines[2] == "    └── t1  PENDING"
    assert lines[500].endswith("└── level 500: t499  PENDING")


def test_health_tries_a_write_if_it_is_told_to(here: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/engine.db?busy_timeout=0.1s"
    with engine_store.open(url) as store:
        assert here("health", "--write", "--url", url).code == 0
        assert store.workflows.list().items == ()
        with store.transaction() as tx:
            tx.workflows.create(WorkflowState("w", "x"))
            assert here("health", "--url", url).code == 0
            done = here("health", "--write", "--url", url, "--json")
    assert done.code == 1
    assert done.json["can_write"] is False
    assert done.json["problem"].startswith("another process held the write lock for 0.1 s")


def test_the_events_of_a_workflow_are_listed(here: Run, filled: str) -> None:
    with engine_store.open(filled) as store:
        store.events.append("new", "started", {"by": "ann"})
        store.events.append("new", "said", {"text": "\x1b[2J"}, key="k")

    def events(*arguments: str) -> Any:
        return here("workflows", "events", "new", *arguments, "--url", filled)

    header, started, said = events().out.splitlines()
    assert header.split() == ["number", "time", "kind", "task", "data"]
    assert started.split()[0] == "1"
    assert started.endswith('{"by": "ann"}')
    assert said.endswith('{"text": "\\u001b[2J"}')
    [second] = json.loads(events("--after", "1", "--json").out)
    shown = json.loads(here("workflows", "show", "new", "--url", filled, "--json").out)
    assert [event["kind"] for event in shown["events"]] == ["started", "said"]
    assert (second["number"], second["kind"], second["key"]) == (2, "said", "k")
    assert json.loads(events("--kind", "other", "--json").out) == []
    assert here("workflows", "events", "none", "--url", filled).code == 1


def test_a_workflow_is_canceled_with_its_tasks(here: Run, filled: str) -> None:
    def cancel(*arguments: str) -> Any:
        return here("workflows", "cancel", "new", *arguments, "--url", filled)

    assert cancel().code == 2
    assert cancel("--reason", "enough", "--yes").out == "new  CANCELED\n"
    state = json.loads(cancel("--yes", "--json").out)
    assert (state["status"], state["error"]["message"]) == ("CANCELED", "enough")
    assert here("workflows", "cancel", "none", "--yes", "--url", filled).code == 1


def test_queues_are_counted_and_expired_leases_listed(here: Run, filled: str) -> None:
    with engine_store.open(filled) as store:
        for key in ("a", "b", "c"):
            store.tasks.create(TaskState("new", key, key, "report", queue="work"))
        store.tasks.claim("worker-1", lease=0.001, queues=["work"])
    header, *lines = here("queues", "list", "--url", filled).out.splitlines()
    [line] = [line for line in lines if line.split()[0] == "work"]
    assert header.split() == ["queue", "ready", "delayed", "leased", "expired", "ready", "since"]
    assert line.split()[:5] == ["work", "2", "0", "1", "1"]
    counts = json.loads(here("queues", "list", "--url", filled, "--json").out)["work"]
    assert (counts["ready"], counts["leased"]) == (2, 1)
    expired = here("queues", "expired", "--queue", "work", "--url", filled).out.splitlines()
    assert expired[0].split() == ["task", "worker", "attempt", "expired"]
    assert expired[1].split()[:3] == ["a", "worker-1", "1"]
    assert here("queues", "expired", "--url", filled, "--json").out == "[]\n"


def test_a_workflow_is_deleted_with_its_tasks(run: Run, here: Run, filled: str) -> None:
    def delete(*arguments: str, call: Run = here) -> Any:
        return call("workflows", "delete", "old", *arguments, "--url", filled)

    assert delete("--dry-run").out == "would delete old and its tasks\n"
    assert delete().code == 2
    gone = {"workflow_exec_id": "old", "dry_run": False}
    assert answered(delete("--yes", "--json", call=run), WORKFLOW_GONE) == gone
    assert (delete("--yes").code, delete("--dry-run").code) == (1, 1)
    childless = here("workflows", "delete", "new", "--yes", "--url", filled)
    assert (childless.code, childless.out) == (0, "deleted new and its tasks\n")


def test_old_workflows_are_purged(run: Run, here: Run, filled: str) -> None:
    def purge(*arguments: str, call: Run = here) -> Any:
        return call("workflows", "purge", *arguments, "--url", filled)

    assert purge("--older-than", "10000d", "--yes").out == "deleted 0 executions and 0 tasks\n"
    assert purge("--older-than", "1d", "--dry-run").out == "would delete 1 executions and 3 tasks\n"
    asked = purge("--older-than", "1d")
    assert (asked.code, asked.out) == (2, "")
    found = answered(purge("--older-than", "1d", "--dry-run", "--json"), PURGED)
    assert (found["workflows"], found["tasks"]) == (1, 3)
    every = ("--status", "PENDING", "--status", "SUCCESS", "--batch-size", "1")
    found = answered(purge("--older-than", "12h", *every, "--yes", "--json", call=run), PURGED)
    assert (found["workflows"], found["tasks"]) == (2, 3)


@pytest.mark.parametrize("age", ["30", "-1d", "soon", "", "d", "nan", "999999999d", "1e9d"])
def test_what_is_no_age_purges_nothing(here: Run, age: str) -> None:
    done = here("workflows", "purge", f"--older-than={age}", "--yes", "--db-path", "none.db")
    assert (done.code, done.err) == (
        2,
        "engine-store: --older-than: expected an age such as 30d or 12h\n",
    )


# --- backup ------------------------------------------------------------------------------------


def test_a_file_is_copied_while_it_is_in_use(run: Run, here: Run, tmp_path: Path) -> None:
    path, copy = tmp_path / "engine.db", tmp_path / "copy.db"
    with engine_store.open(f"sqlite:///{path}") as store:
        store.users.create(User("ada", "ada@example.org", Role.ADMIN))
        found = answered(run("backup", copy, "--db-path", path, "--json"), BACKUP)
        assert found == {"target": str(copy), "bytes": copy.stat().st_size}
    assert copy.stat().st_mode & 0o777 == 0o600
    with engine_store.open(f"sqlite:///{copy}") as store:
        assert store.users.get("ada").email == "ada@example.org"
    again = here("backup", copy, "--db-path", path)
    assert (again.code, again.err) == (
        2,
        f"engine-store: target: {copy} exists already; name a new file\n",
    )
    other = here("backup", tmp_path / "other.db", "--db-path", path)
    assert (other.code, other.out) == (0, f"{tmp_path}/other.db: {found['bytes']} bytes\n")


def test_what_cannot_be_copied_is_refused_and_leaves_nothing(here: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not a database at all")
    for source, target, code in (
        ("none.db", "copy.db", 2),
        (foreign, "copy.db", 1),
        (":memory:", "copy.db", 2),
        (foreign, "none/copy.db", 1),
    ):
        done = here("backup", target, "--db-path", source)
        assert (done.code, done.out) == (code, "")
        assert done.err.startswith("engine-store: ")
    assert list(tmp_path.iterdir()) == [foreign]


def test_postgresql_is_backed_up_by_its_own_tools_which_are_named(
    here: Run, postgres_store_url: str, tmp_path: Path
) -> None:
    done = here("backup", "copy.db", "--url", postgres_store_url)
    assert (done.code, done.out) == (2, "")
    assert "pg_dump --format=custom --schema=test_" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_restored_while_nobody_has_the_database_open(
    run: Run, here: Run, tmp_path: Path
) -> None:
    path, copy = tmp_path / "engine.db", tmp_path / "copy.db"
    with engine_store.open(f"sqlite:///{path}") as store:
        store.users.create(User("ada", "ada@example.org", Role.ADMIN))
        here("backup", copy, "--db-path", path)
        store.users.create(User("bob", "bob@example.org"))
        done = run("restore", copy, f"sqlite:///{path}")
        assert (done.code, done.out) == (3, "")
        assert "close every store of it" in done.err
    found = answered(run("restore", copy, f"sqlite:///{path}", "--json"), RESTORE)
    assert found == {"file": str(copy), "bytes": path.stat().st_size}
    with engine_store.open(f"sqlite:///{path}") as store:
        assert [user.user_id for user in store.users.list().items] == ["ada"]
    again = here("restore", copy, f"sqlite:///{path}")
    assert (again.code, again.out) == (0, f"restored {copy}: {found['bytes']} bytes\n")


def test_a_restore_takes_two_places_and_no_other(here: Run, tmp_path: Path) -> None:
    done = here("restore", "copy.db", "sqlite:///engine.db", "--db-path", "engine.db")
    assert (done.code, done.out) == (2, "")
    missing = here("restore", "copy.db", "sqlite:///engine.db")
    assert missing.err == "engine-store: source: there is no file copy.db; name a backup\n"
    memory = here("restore", "copy.db", "memory://")
    assert memory.err == "engine-store: url: memory restores no backup; use import\n"
    assert list(tmp_path.iterdir()) == []


def test_postgresql_is_restored_by_its_own_tools_which_are_named(
    here: Run, postgres_store_url: str
) -> None:
    done = here("restore", "copy.db", postgres_store_url)
    assert (done.code, done.out) == (2, "")
    assert "pg_restore" in done.err


# --- where the database is ---------------------------------------------------------------------


def test_the_options_the_environment_and_a_file_say_where_it_is(here: Run, tmp_path: Path) -> None:
    (tmp_path / "engine.toml").write_text("database.url = 'sqlite:///of-the-file.db'")

    def used(*arguments: str, **variables: str) -> str:
        done = here("users", "create", "ada@example.org", *arguments, **variables)
        assert done.code == 0, done.err
        [name] = [path.name for path in tmp_path.glob("*.db")]
        for path in tmp_path.glob("*.db*"):
            path.unlink()
        return name

    variables = {"ENGINE_STORE_CONFIG": "engine.toml"}
    assert used("--config", "engine.toml") == used(**variables) == "of-the-file.db"
    variables["ENGINE_STORE_DATABASE_URL"] = "sqlite:///of-the-environment.db"
    assert used(**variables) == "of-the-environment.db"
    assert used("--db-path", "of-the-option.db", **variables) == "of-the-option.db"
    assert used("--url", "sqlite:///of-the-url.db", **variables) == "of-the-url.db"
    by_driver = ("--db-driver", "sqlite", "--db-path", "of-both.db")
    assert used(*by_driver, **variables) == "of-both.db"


@pytest.mark.parametrize(
    "command",
    [
        ("start",),
        ("health",),
        ("migrate", "status"),
        ("users", "list"),
        ("workflows", "list"),
    ],
)
def test_a_database_that_cannot_be_reached_is_exit_code_3(here: Run, command: tuple[str]) -> None:
    done = here(*command, "--url", "postgresql:///engine?host=/nowhere&connect_timeout=1")
    assert (done.code, done.out) == (3, "")
    assert "Traceback" not in done.err


def test_for_conformance_it_is_exit_code_2(here: Run) -> None:
    done = here("conformance", "postgresql:///engine?host=/nowhere&connect_timeout=1")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("engine-store: ")
