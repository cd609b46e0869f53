"""Damages files of SQLite stores at random, and calls every method of a store on each of them.

A program for `test_damage`: a folder, how many files, and a seed. A call works, or it raises an
error of the store; what it returns is of the types that the models promise.
"""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import os
import random
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import attrs

import engine_store
from engine_store import DatabaseConfig, transfer
from engine_store.config import Config
from engine_store.errors import EngineStoreError
from engine_store.models import (
    ApiKey,
    Claim,
    ErrorInfo,
    Event,
    ExecutionType,
    NewEvent,
    Page,
    Role,
    Status,
    TaskFilter,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    UserFilter,
    WorkflowFilter,
    WorkflowState,
)
from engine_store.rules.entities import BY_MODEL
from engine_store_sqlite.driver import DRIVER

PAST = datetime(2026, 1, 31, tzinfo=UTC)
LATER = datetime(9999, 1, 1, tzinfo=UTC)
USAGE = UsageSummary.of(
    [
        UsageEntry("openai", "large", 120, 7, cached_prompt_tokens=100, agent_ids=("a-1",)),
        UsageEntry("openai", "small", 3, 40, captured_at=datetime(2026, 1, 31, tzinfo=UTC)),
    ]
)
WORKFLOWS, TASKS = 12, 8


def fill(store: Any) -> None:
    """Store rows of every kind, of more than one page."""
    for number in range(8):
        role = Role.USER if number else Role.ADMIN
        store.users.create(User(f"user-{number}", f"{number}@example.org", role))
        fingerprint = bytes([number]) * 32
        key = ApiKey(f"key-{number}", f"user-{number}", f"prefix-{number}", fingerprint, b"hash")
        store.api_keys.create(key)
    for number in range(WORKFLOWS):
        with store.transaction() as tx:
            plant(tx, f"w-{number}", Status.SUCCESS if number % 3 else Status.RUNNING)


def plant(tx: Any, key: str, status: Status) -> None:
    payload = {"text": "ä" * random.randrange(300), "numbers": [1, 2.5, None, True]}
    tx.workflows.create(WorkflowState(key, "flow", status, input=payload, usage=USAGE))
    for number in range(TASKS):
        tx.tasks.create(
            TaskState(
                key,
                f"{key}-t-{number}",
                f"task-{number % 5}",
                "flow",
                status=Status.FAILED if number % 4 == 3 else Status.SUCCESS,
                execution_type=ExecutionType.BASIC,
                parent_state_id=f"{key}-t-{number // 2}" if number else None,
                agent_id="agent" if number % 2 else None,
                action_id="action" if number % 2 else None,
                tool_id=None if number % 2 else "tool",
                input={"big": "x" * 9000} if number == 5 else payload,
                output={"n": number},
                error=ErrorInfo("no", "E", {"a": 1}) if number % 4 == 3 else None,
                usage=USAGE,
            ),
            allow_ended=True,
        )
    tx.events.append_many(key, [NewEvent("said", {"n": n}, key=f"k-{n}") for n in range(3)])
    for number in range(4):  # claimed, and to be claimed
        task = TaskState(key, f"{key}-c-{number}", "c", "flow", queue="default", priority=number)
        running = attrs.evolve(
            task, status=Status.RUNNING, attempt=1, version=2, created_at=PAST, updated_at=PAST
        )
        if number % 2:
            tx.tasks.restore(running)
        else:
            tx.tasks.create(task, allow_ended=True)


# --- the calls ------------------------------------------------------------------------------------


def calls() -> Mapping[str, Callable[[Any], Any]]:
    """Return a call of each method of a store or a transaction, by its name, on random rows."""
    pick = random.randrange
    user, key, flow = f"user-{pick(8)}", f"key-{pick(8)}", f"w-{pick(WORKFLOWS)}"
    other = f"w-{pick(WORKFLOWS)}"
    task = f"{flow}-t-{pick(TASKS)}"
    new = f"new-{pick(10**9)}"
    task_state = TaskState(flow, task, "task-1", "flow", agent_id="a", action_id="b")
    restored = {"version": 3, "created_at": LATER, "updated_at": LATER}
    claim = Claim(
        TaskState(flow, f"{flow}-c-{pick(4)}", "c", "flow", attempt=1),
        "worker",
        LATER,
        f"{flow}-c-{pick(4)}",
    )
    return {
        "users.get": lambda s: s.users.get(user),
        "users.get_by_email": lambda s: s.users.get_by_email(f"{pick(8)}@EXAMPLE.org"),
        "users.list": lambda s: s.users.list(UserFilter(role=Role.USER), limit=3),
        "users.create": lambda s: s.users.create(User(new, f"{new}@example.org")),
        "users.restore": lambda s: s.users.restore(
            User(f"r{new}", f"r{new}@example.org", **restored)
        ),
        "users.create_initial_admin_if_none": lambda s: s.users.create_initial_admin_if_none(
            User(f"admin-{new}", f"admin-{new}@example.org", Role.ADMIN)
        ),
        "users.update": lambda s: s.users.update(User(user, "new@example.org", version=1)),
        "users.upsert": lambda s: s.users.upsert(User(user, f"{user}@example.org")),
        "users.modify": lambda s: s.users.modify(user, lambda u: u.evolve(role=Role.ADMIN)),
        "users.delete": lambda s: s.users.delete(user),
        "api_keys.get": lambda s: s.api_keys.get(key),
        "api_keys.get_by_fingerprint": lambda s: s.api_keys.get_by_fingerprint(
            bytes([pick(8)]) * 32
        ),
        "api_keys.get_by_prefix": lambda s: s.api_keys.get_by_prefix(f"prefix-{pick(8)}"),
        "api_keys.list": lambda s: s.api_keys.list(limit=5),
        "api_keys.create": lambda s: s.api_keys.create(
            ApiKey(new, user, new, os.urandom(32), b"hash")
        ),
        "api_keys.restore": lambda s: s.api_keys.restore(
            ApiKey(f"r{new}", user, f"r{new}", os.urandom(32), b"hash", LATER, LATER)
        ),
        "api_keys.touch": lambda s: s.api_keys.touch(key),
        "api_keys.delete": lambda s: s.api_keys.delete(key),
        "workflows.get": lambda s: s.workflows.get(flow, with_tasks=True),
        "workflows.list": lambda s: s.workflows.list(WorkflowFilter(statuses=[Status.SUCCESS])),
        "workflows.latest": lambda s: s.workflows.latest("flow", agent_id="agent"),
        "workflows.create": lambda s: s.workflows.create(WorkflowState(new, "flow")),
        "workflows.restore": lambda s: s.workflows.restore(
            WorkflowState(f"r{new}", "flow", **restored)
        ),
        "workflows.update": lambda s: s.workflows.update(WorkflowState(flow, "flow", version=1)),
        "workflows.upsert": lambda s: s.workflows.upsert(WorkflowState(flow, "flow", input={})),
        "workflows.modify": lambda s: s.workflows.modify(flow, lambda w: w.evolve(output={})),
        "workflows.set_status": lambda s: s.workflows.set_status(
            flow, Status.RUNNING, expected_statuses=[Status.SUCCESS]
        ),
        "workflows.merge_usage": lambda s: s.workflows.merge_usage(flow, USAGE),
        "workflows.complete": lambda s: s.workflows.complete(flow),
        "workflows.cancel": lambda s: s.workflows.cancel(flow, reason="enough"),
        "workflows.delete": lambda s: s.workflows.delete(other),
        "workflows.purge": lambda s: s.workflows.purge(
            LATER, statuses=[Status.SUCCESS], batch_size=3, dry_run=pick(3) > 0
        ),
        "tasks.get": lambda s: s.tasks.get(task),
        "tasks.list": lambda s: s.tasks.list(TaskFilter(agent_id="agent"), limit=7),
        "tasks.create": lambda s: s.tasks.create(
            TaskState(flow, new, "t", "flow", parent_state_id=task), allow_ended=True
        ),
        "tasks.restore": lambda s: s.tasks.restore(
            TaskState(flow, f"r{new}", "t", "flow", **restored)
        ),
        "tasks.update": lambda s: s.tasks.update(task_state.evolve(version=1)),
        "tasks.upsert": lambda s: s.tasks.upsert(task_state),
        "tasks.modify": lambda s: s.tasks.modify(task, lambda t: t.evolve(input=None)),
        "tasks.merge_usage": lambda s: s.tasks.merge_usage(task, USAGE),
        "tasks.usage": lambda s: s.tasks.usage(task),
        "tasks.children": lambda s: s.tasks.children(task),
        "tasks.child": lambda s: s.tasks.child(f"{flow}-t-0", "task-1"),
        "tasks.children_outputs": lambda s: s.tasks.children_outputs(f"{flow}-t-0"),
        "tasks.in_workflow": lambda s: s.tasks.in_workflow(flow),
        "tasks.by_status": lambda s: s.tasks.by_status(flow, Status.SUCCESS),
        "tasks.by_agent": lambda s: s.tasks.by_agent(flow, "agent"),
        "tasks.by_tool": lambda s: s.tasks.by_tool(flow, "tool"),
        "tasks.tree": lambda s: s.tasks.tree(f"{flow}-t-0"),
        "tasks.progress": lambda s: s.tasks.progress(f"{flow}-t-0"),
        "tasks.claim": lambda s: s.tasks.claim("worker", lease=0.001, limit=3),
        "tasks.renew": lambda s: s.tasks.renew(claim, lease=1),
        "tasks.finish": lambda s: s.tasks.finish(claim, output={}, usage=USAGE),
        "tasks.release": lambda s: s.tasks.release(claim, due_in=1),
        "tasks.cancel": lambda s: s.tasks.cancel(f"{flow}-t-1"),
        "tasks.expired": lambda s: s.tasks.expired(limit=3),
        "tasks.next_due": lambda s: s.tasks.next_due(),
        "tasks.queues": lambda s: s.tasks.queues(),
        "events.append": lambda s: s.events.append(flow, "said", {}, task_exec_id=task, key="k"),
        "events.append_many": lambda s: s.events.append_many(
            flow, [NewEvent("said"), NewEvent("said", {}, task, f"k-{pick(3)}")]
        ),
        "events.restore": lambda s: s.events.restore(
            Event(flow, pick(99) + 1, "said", None, created_at=LATER)
        ),
        "events.wait": lambda s: s.events.wait(flow, after=pick(3), timeout=0),
        "workflows.wait": lambda s: s.workflows.wait(flow, timeout=0),
        "events.list": lambda s: s.events.list(flow, after=pick(3)),
    }


IN_TRANSACTIONS: dict[str, Callable[[Any], Any]] = {
    "workflows.get_for_update": lambda tx: tx.workflows.get_for_update("w-1"),
    "tasks.get_for_update": lambda tx: tx.tasks.get_for_update("w-1-t-1"),
}
OF_A_STORE: dict[str, Callable[[Any], Any]] = {
    "migrator.status": lambda s: s.migrator.status(),
    "migrator.plan": lambda s: s.migrator.plan(0),
    "migrator.up": lambda s: s.migrator.up(),
    "migrator.verify": lambda s: s.migrator.verify(),
    "stats": lambda s: s.stats(),
    "health": lambda s: s.health(),
}


def everything(config: DatabaseConfig, number: int) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield what is done with a store, in random order."""
    found = [*calls().items(), *OF_A_STORE.items()]
    random.shuffle(found)
    yield from found
    folder = Path(config.url.removeprefix("sqlite:///").partition("?")[0]).parent  # type: ignore[union-attr]
    yield "export", lambda s: transfer.export(s, folder / "rows.jsonl")
    yield "backup", lambda _: DRIVER.backup(config, folder / "copy.db", lambda *_: None)
    yield "check", lambda _: list(DRIVER.check(Config(config)))
    if number % 4 == 0:
        yield "migrator.down", lambda s: s.migrator.down(3)


# --- what is returned -----------------------------------------------------------------------------

KINDS: Mapping[str, type[Any]] = {
    "str": str,
    "int": int,
    "bytes": bytes,
    "datetime": datetime,
    "Document": dict,
    "ErrorInfo": ErrorInfo,
    "UsageSummary": UsageSummary,
}


def look_at(value: Any) -> None:
    """Check that a row is of the types that its model promises, and rows within others."""
    if isinstance(value, Page):
        value = value.items
    if isinstance(value, Claim):
        value = value.task
    if isinstance(value, tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            look_at(each)
    entity = BY_MODEL.get(type(value))
    if entity is None:
        return
    for name in entity.fields:
        kind, found = entity.model.__annotations__[name], getattr(value, name)
        if found is None and kind.endswith(" | None"):
            continue
        kind = kind.removesuffix(" | None")
        assert type(found).__name__ == kind or type(found) is KINDS.get(kind), (name, found)
        if kind == "datetime":
            assert found.utcoffset() == timedelta(), (name, found)
    if isinstance(value, WorkflowState):
        look_at(value.tasks)


# --- the damage -----------------------------------------------------------------------------------

PAGE = 4096


def bits(data: bytearray) -> None:
    for _ in range(random.choice((1, 1, 3, 20, 200))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def characters(data: bytearray) -> None:
    """Change what looks like stored text: most of a file is free."""
    for _ in range(random.choice((1, 5, 50))):
        places = [data.find(mark, random.randrange(len(data))) for mark in MARKS]
        if places := [place for place in places if place >= 0]:
            place = random.choice(places) + random.randrange(8)
            data[min(place, len(data) - 1)] = random.randrange(256)


MARKS = (b"SUCCESS", b"+00:00", b'"prompt', b'{"text', b"w-1", b"agent", b"basic", b"user", b"tool")


def headers(data: bytearray) -> None:
    """Change the beginning of a page, where the places and the kinds of its rows are."""
    for _ in range(random.choice((1, 4))):
        page = random.randrange(max(1, len(data) // PAGE)) * PAGE
        data[min(page + random.randrange(64), len(data) - 1)] = random.randrange(256)


def pages(data: bytearray) -> None:
    count = max(1, len(data) // PAGE)
    a, b = random.randrange(count) * PAGE, random.randrange(count) * PAGE
    filling = random.choice((data[b : b + PAGE], bytes(PAGE), random.randbytes(PAGE)))
    data[a : a + PAGE] = filling[: len(data[a : a + PAGE])]


def cut(data: bytearray) -> None:
    del data[
        random.choice((random.randrange(len(data)), random.randrange(len(data)) // PAGE * PAGE)) :
    ]


def halves(data: bytearray) -> None:
    middle = len(data) // 2
    data[:] = data[middle:] + data[:middle]


def grow(data: bytearray) -> None:
    data += random.randbytes(random.choice((1, PAGE, 3 * PAGE)))


KINDS_OF_DAMAGE = (
    bits,
    bits,
    characters,
    characters,
    characters,
    headers,
    headers,
    pages,
    cut,
    halves,
    grow,
)

kept: list[int] = []
"""Descriptors of files that are open by a store, too: to close one would drop the store's locks."""


def damage(path: Path, *, is_open: bool) -> str:
    """Damage a file, and say how; one that is open keeps its length, or SQLite's own map fails."""
    kinds = [kind for kind in KINDS_OF_DAMAGE if not is_open or kind not in (cut, grow)]
    kind = random.choice(kinds)
    data = bytearray(path.read_bytes() if not is_open else read_open(path))
    if not data:
        return "empty"
    kind(data)
    if is_open:
        os.pwrite(kept[-1], data, 0)
    else:
        path.write_bytes(data)
    return f"{path.name}: {kind.__name__}"


def read_open(path: Path) -> bytes:
    kept.append(os.open(path, os.O_RDWR))
    return os.pread(kept[-1], path.stat().st_size, 0)


def log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def index(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


def spoil(path: Path, *, is_open: bool) -> str:
    """Damage a database, and say how."""
    choice = random.random()
    done = []
    if choice < 0.75 or not log(path).exists():
        done.append(damage(path, is_open=is_open))
    if choice > 0.6 and log(path).exists():
        done.append(damage(log(path), is_open=is_open))
    for other in (log(path), index(path)):
        if random.random() < 0.15 and other.exists():
            other.unlink()
            done.append(f"{other.name}: gone")
    return ", ".join(done)


# --- running --------------------------------------------------------------------------------------


class Fuzzer:
    """Runs calls, and counts how they ended."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.case = ""

    def failed(self, name: str, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)[-1:]
        places = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        text = f"{name}: {error!r}{places}"
        if text not in self.failures and len(self.failures) < 20:
            sys.stderr.write(f"{self.case}: {text}\n{''.join(traceback.format_exception(error))}\n")
        self.failures[text] += 1

    def call(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            value = call()
            look_at(value)
        except EngineStoreError as error:
            self.ended[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            self.failed(name, error)
        else:
            self.ended["worked"] += 1
            return value
        return None

    async def await_(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            value = call()
            if inspect.isawaitable(value):
                value = await value
            look_at(value)
        except EngineStoreError as error:
            self.ended[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001
            self.failed(f"async {name}", error)
        else:
            self.ended["worked"] += 1
            return value
        return None

    def run(self, config: DatabaseConfig, number: int, spoil_open: Callable[[], None]) -> None:
        store = self.call("open", partial(engine_store.open, config))
        if store is None:
            return
        spoil_open()
        for name, call in everything(config, number):
            self.call(name, partial(call, store))
        self.call("transaction", partial(self.transact, store))
        self.call("close", store.close)

    def restore(self, config: DatabaseConfig, source: Path) -> None:
        """Replace what is left by a backup, after which all is as it was."""

        def restore() -> int:
            return DRIVER.restore(config, source, lambda *_: None)

        if self.call("restore", restore) is not None:
            with engine_store.open(config) as store:
                if len(store.workflows.list().items) != WORKFLOWS:
                    self.failed("restore", AssertionError("rows are missing"))

    def transact(self, store: Any) -> None:
        with store.transaction() as tx:
            found = [*calls().items(), *IN_TRANSACTIONS.items()]
            random.shuffle(found)
            for name, call in found[:12]:
                self.call(f"tx.{name}", partial(call, tx))

    async def run_async(
        self, config: DatabaseConfig, number: int, spoil_open: Callable[[], None]
    ) -> None:
        store = await self.await_("open", partial(engine_store.open_async, config))
        if store is None:
            return
        spoil_open()
        for name, call in everything(config, number):
            if name != "export":
                await self.await_(name, partial(call, store))
        await self.await_("transaction", partial(self.transact_async, store))
        await self.await_("close", store.close)

    async def transact_async(self, store: Any) -> None:
        async with store.transaction() as tx:
            for name, call in IN_TRANSACTIONS.items():
                await self.await_(f"tx.{name}", partial(call, tx))


def main(folder: Path, count: int, seed: int) -> int:
    random.seed(seed)
    base = folder / "base" / "engine.db"
    base.parent.mkdir()
    with engine_store.open(f"sqlite:///{base}?synchronous=off") as store:
        fill(store)
    logged = folder / "logged" / "engine.db"
    logged.parent.mkdir()
    shutil.copy(base, logged)
    crashed = folder / "crashed"
    with engine_store.open(f"sqlite:///{logged}?synchronous=off") as store:
        for number in range(4):
            plant(store, f"late-{number}", Status.SUCCESS)
        shutil.copytree(logged.parent, crashed)
    fuzzer = Fuzzer()
    for number in range(count):
        faulthandler.dump_traceback_later(60, exit=True)
        random.seed(f"{seed} {number}")
        place = folder / "case"
        shutil.copytree(random.choice((base.parent, crashed)), place)
        path = place / "engine.db"
        config = DatabaseConfig(f"sqlite:///{path}?synchronous=off&busy_timeout=500ms")
        is_open = random.random() < 0.3
        fuzzer.case = f"seed {seed}, file {number}"
        if not is_open:
            fuzzer.case += f", {spoil(path, is_open=False)}"

        def spoil_open(is_open: bool = is_open, path: Path = path) -> None:
            if is_open:
                fuzzer.case += f", {spoil(path, is_open=True)} while open"

        if number % 5 == 4:
            asyncio.run(fuzzer.run_async(config, number, spoil_open))
        else:
            fuzzer.run(config, number, spoil_open)
        while kept:
            os.close(kept.pop())
        fuzzer.restore(config, base)
        shutil.rmtree(place)
    faulthandler.cancel_dump_traceback_later()
    sys.stderr.write(f"{dict(fuzzer.ended)}\n")
    for text, times in fuzzer.failures.most_common():
        sys.stderr.write(f"{times} times {text}\n")
    sys.stdout.write("worked or raised an error of the store\n" if not fuzzer.failures else "")
    return bool(fuzzer.failures)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
