"""SQLite and PostgreSQL do the same: the same cases, the same answers, the same errors."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import attrs
import psycopg
import pytest

import engine_store
from engine_store.errors import EmailExistsError, EngineStoreError, InvalidValueError
from engine_store.models import (
    ApiKey,
    ApiKeyFilter,
    ErrorInfo,
    Role,
    Status,
    TaskFilter,
    UsageEntry,
    UsageSummary,
    WorkflowFilter,
)
from engine_store.protocols import Repositories, Store
from engine_store.values import INT_MAX, INT_MIN, Document
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.machine import StoreMachine, Subject, run_machine
from engine_store_contracts.suite import hostile
from engine_store_contracts.suite.case import outcome
from engine_store_contracts.suite.samples import api_key, child, task, user, workflow

ROOT = Path(__file__).parents[2]

END_OF_TIME = datetime.max.replace(tzinfo=UTC)

# --- the same cases ------------------------------------------------------------------------------


def collect(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What pytest finds, in another process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def cases() -> dict[str, list[str]]:
    """The cases of each class, without the names of file and class."""
    files = [f"tests/contract/test_{name}.py" for name in ("memory", "sqlite_file", "postgres")]
    done = collect(*files)
    assert done.returncode == 0, done.stdout + done.stderr
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        if "::" in line:
            _, name, case = line.split("::", 2)
            found[name].append(case)
    return found


def test_every_driver_passes_the_same_cases(cases: dict[str, list[str]]) -> None:
    assert sorted(cases["TestMemory"]) == sorted(cases["TestPostgres"])
    assert sorted(cases["TestSqliteFile"]) == sorted(cases["TestPostgres"])
    assert len(cases["TestPostgres"]) > 1500


def test_no_case_is_skipped_or_expected_to_fail() -> None:
    done = collect("-m", "skip or skipif or xfail", "tests/contract")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr


# --- two stores on one clock ---------------------------------------------------------------------


@attrs.frozen
class Pair:
    """A SQLite store and a PostgreSQL store, on the same clock."""

    sqlite: Store
    postgres: Store
    clock: ManualClock

    def both(self, call: Callable[[Repositories], Any]) -> Any:
        """Return what a call returns or raises on both, which must be the same."""
        found, expected = (outcome(partial(call, s)) for s in (self.postgres, self.sqlite))
        assert exact(found) == exact(expected)
        return expected

    def done(self, call: Callable[[Repositories], Any]) -> Any:
        """What a call that succeeds returns on both."""
        did = self.both(call)
        assert not isinstance(did, EngineStoreError)
        return did

    def refused(self, call: Callable[[Repositories], Any]) -> EngineStoreError:
        """What a call raises on both."""
        error = self.both(call)
        assert isinstance(error, EngineStoreError)
        return error

    def clear(self) -> None:
        """Delete everything."""
        for store in (self.sqlite, self.postgres):
            for state in store.workflows.list(limit=1000).items:
                store.workflows.delete(state.workflow_exec_id)
            for holder in store.users.list(limit=1000).items:
                store.users.delete(holder.user_id)


@pytest.fixture(scope="module")
def stores(postgres_url: str, postgres_admin: psycopg.Connection[Any]) -> Iterator[Pair]:
    """Both stores, opened once."""
    schema, clock = f"test_{uuid4().hex}", ManualClock()
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={schema}"
    try:
        with (
            engine_store.open("sqlite:///:memory:", clock=clock) as sqlite,
            engine_store.open(url, clock=clock) as postgres,
        ):
            yield Pair(sqlite, postgres, clock)
    finally:
        postgres_admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


@pytest.fixture
def pair(stores: Pair) -> Iterator[Pair]:
    """Both stores, empty."""
    stores.clock.time = START
    yield stores
    stores.clear()


# --- random calls --------------------------------------------------------------------------------


def test_random_calls_do_the_same(pair: Pair) -> None:
    subject = Subject(pair.sqlite)
    run_machine(
        lambda: StoreMachine(subject, pair.clock, pair.postgres),
        examples=20,
        steps=50,
        seed=random.randrange(2**32),
    )


# --- documents -----------------------------------------------------------------------------------

DOCUMENTS: dict[str, Document | None] = {
    **hostile.DOCUMENTS,
    "None": None,
    "subnormal": {"a": 1e-320},
    "numbers of every kind": {"a": [1, 1.0, True, -0.0, 0, 0.0, 1e17, 10**17, INT_MAX, INT_MIN]},
    "empty inside": {"a": {}, "b": None, "c": [None, {}, []]},
    "backslashes": {"a\\": "\\", "b": "\\\\u0041 \\u0041 \\x41 \\n"},
    "quotes": {"'": "''", '"': '""', "`": "$$ $a$ E'"},
    "placeholders": {"%s": "%(a)s %% %", "{}": "{schema} {0}", ":name": "$1 ::text ? ?1 @a"},
    "comments": {"--": "-- name: x :one", "/*": "*/ --? limit ;"},
}


def writes(
    document: Document | None, *, wrapped: bool = False
) -> list[tuple[str, Callable[[Repositories], Any]]]:
    """Each place of a document, and a call that writes it there.

    In the output of a workflow it may be `wrapped` in two levels, which do not count there.
    """
    error = ErrorInfo("", None, document)
    place, output = ("output.a.b", {"a": {"b": document}}) if wrapped else ("output", document)
    return [
        ("input", lambda s: s.workflows.upsert(workflow(input=document))),
        (place, lambda s: s.workflows.upsert(workflow(output=output))),
        ("error.details", lambda s: s.workflows.upsert(workflow(error=error))),
        ("input", lambda s: s.tasks.upsert(task(input=document))),
        ("output", lambda s: s.tasks.upsert(task(output=document))),
        ("error.details", lambda s: s.tasks.upsert(task(error=error))),
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_comes_back_as_it_was_written(pair: Pair, name: str) -> None:
    document = DOCUMENTS[name]
    pair.done(lambda s: s.workflows.create(workflow()))
    for place, write in writes(document):
        written = pair.done(write)
        for step in place.split("."):
            written = getattr(written, step)
        assert exact(written) == exact(document)
    pair.done(lambda s: s.workflows.get("w", with_tasks=True))
    pair.done(lambda s: s.tasks.list().items)
    pair.done(lambda s: s.workflows.set_status("w", Status.SUCCESS))


@pytest.mark.parametrize("name", hostile.BAD_DOCUMENTS)
def test_a_document_is_refused_with_the_same_error(pair: Pair, name: str) -> None:
    document, path = hostile.BAD_DOCUMENTS[name]
    before = pair.done(lambda s: s.workflows.create(workflow()))
    for place, write in writes(document, wrapped=name == "101 levels"):
        error = pair.refused(write)
        assert isinstance(error, InvalidValueError)
        assert error.path.partition(".")[2] == place + path
    assert pair.done(lambda s: s.workflows.list().items) == (before,)
    assert pair.done(lambda s: s.tasks.list().items) == ()


# --- ids, names and texts ------------------------------------------------------------------------

TEXTS = {
    **hostile.IDS,
    "dotless i": "\u0131I",
    "dotted I": "\u0130i",
    "sharp s": "\u00dfss\u1e9e",
    "final sigma": "\u03c2\u03c3\u03a3",
    "combining characters in an order of their own": "a\u0301\u0323",
    "backslashes": "\\ \\\\ \\n \\x41 \\u0041 \\.",
    "quotes": "' '' \" ` E'a' U&'b'",
    "dollar quotes": "$$a$$ $tag$b$tag$",
    "percent signs": "% %% %s %(name)s 100%",
    "braces": "{ } {} {{}} {schema} {0}",
    "an array": '{a,"b",NULL}',
    "JSON": '{"a": [1, null]}',
    "names of parameters": ":name :limit ::text",
    "numbers of parameters": "$1 $2 $0 ?1 ? @a",
    "comments": "a -- name: x :one /* b */ --? limit",
    "line ends": "a\r\nb\rc\n\u2028",
    "true": "true",
    "infinity": "infinity",
}

BAD_TEXTS = {
    "NUL": "a\0b",
    "NUL alone": "\0",
    "lone surrogate": "a\ud800",
    "lone low surrogate": "\udfffa",
    "a surrogate pair in two": "\ud83d\ude00",
}


def everywhere(text: str) -> Iterator[Callable[[Repositories], Any]]:
    """Calls that write a text wherever one can stand, and read by it wherever one can be given."""
    name = f"a{text[:254]}"  # names of usage are trimmed, and something must be left
    content = {
        "input": {text: [text, {text: text}]},
        "output": {"text": text},
        "error": ErrorInfo(text, text, {text: text}),
        "usage": UsageSummary.of([UsageEntry(name, name, 1, agent_ids=(text,), source=name)]),
    }
    yield lambda s: s.users.create(user(text, "someone@example.org"))
    yield lambda s: s.users.upsert(user(text, "new@example.org"))
    yield lambda s: s.users.get(text)
    yield lambda s: s.api_keys.create(ApiKey(text, text, text, bytes(32), b"-"))
    yield lambda s: s.api_keys.create(ApiKey("key", text, text, bytes(32), b"-"))
    yield lambda s: s.api_keys.get(text)
    yield lambda s: s.api_keys.get_by_prefix(text)
    yield lambda s: s.api_keys.list(ApiKeyFilter(text)).items
    yield lambda s: s.api_keys.touch(text)

    yield lambda s: s.workflows.create(workflow("w", **content))
    yield lambda s: s.workflows.create(workflow(text, workflow_id=text))
    yield lambda s: s.workflows.create(workflow(text))
    yield lambda s: s.tasks.create(
        task(text, text, task_id=text, workflow_id=text, agent_id=text, action_id=text)
    )
    yield lambda s: s.tasks.create(task("t", text, parent_state_id=text, tool_id=text, **content))
    yield lambda s: s.tasks.create(task("other", "w", parent_state_id=text))
    yield lambda s: s.tasks.update(task(text, text, task_id=text, version=1, **content))
    yield lambda s: s.tasks.upsert(task(text, text, task_id=text, agent_id=text, action_id=text))
    yield lambda s: s.tasks.merge_usage("t", content["usage"])

    yield lambda s: s.workflows.get(text, with_tasks=True)
    yield lambda s: s.workflows.list(WorkflowFilter(workflow_id=text)).items
    yield lambda s: s.workflows.list(WorkflowFilter(workflow_exec_ids=["w", text])).items
    yield lambda s: s.workflows.latest(text)
    yield lambda s: s.workflows.latest(text, task_id=text)
    yield lambda s: s.workflows.latest(text, agent_id=text)
    yield lambda s: s.workflows.latest(text, tool_id=text)
    yield lambda s: s.tasks.get(text)
    yield lambda s: s.tasks.get(text, workflow_exec_id=text)
    for name in ("workflow_exec_id", "task_id", "parent_state_id", "agent_id", "tool_id"):
        given = TaskFilter(**{name: text})
        yield lambda s, given=given: s.tasks.list(given).items
    yield lambda s: s.tasks.list(TaskFilter(task_exec_ids=["t", text])).items
    yield lambda s: s.tasks.children(text)
    yield lambda s: s.tasks.child(text, "t", workflow_exec_id=text)
    yield lambda s: s.tasks.children_outputs(text)
    yield lambda s: s.tasks.tree(text)
    yield lambda s: s.tasks.progress(text)
    yield lambda s: list(s.tasks.in_workflow(text).items())
    yield lambda s: s.tasks.by_agent(text, text)
    yield lambda s: s.tasks.by_tool(text, text)
    yield lambda s: s.tasks.list(cursor=text).items

    yield lambda s: s.workflows.set_status(text, Status.RUNNING)
    yield lambda s: s.workflows.complete(text)
    yield lambda s: s.workflows.delete(text)
    yield lambda s: s.users.delete(text)


def in_emails(text: str) -> Iterator[Callable[[Repositories], Any]]:
    """Calls that write a text in an email, which may hold less, and look for it."""
    yield lambda s: s.users.create(user("local", f"{text}@example.org"))
    yield lambda s: s.users.create(user("domain", f"a@{text}"))
    yield lambda s: s.users.upsert(user("local", f"{text}{text}@example.org"))
    yield lambda s: s.users.get_by_email(f"{text.upper()}@EXAMPLE.ORG")
    yield lambda s: s.users.get_by_email(f"A@{text}")


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_does_what_any_other_does_wherever_it_stands(pair: Pair, name: str) -> None:
    usual = [pair.both(call) for call in everywhere("usual")]
    pair.clear()
    found = [pair.both(call) for call in everywhere(TEXTS[name])]
    assert [type(did) for did in found] == [type(did) for did in usual]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_does_the_same_in_emails(pair: Pair, name: str) -> None:
    for call in in_emails(TEXTS[name]):
        pair.both(call)
    pair.done(lambda s: s.users.list().items)


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_text_is_refused_with_the_same_error_wherever_it_stands(pair: Pair, name: str) -> None:
    for call in chain(everywhere(BAD_TEXTS[name]), in_emails(BAD_TEXTS[name])):
        assert isinstance(pair.refused(call), InvalidValueError)


def test_ids_that_only_look_alike_are_different_everywhere(pair: Pair) -> None:
    ids = sorted({"w", "W", "ANN", *(text for twins in hostile.TWINS.values() for text in twins)})
    for key in ids:
        pair.done(lambda s, key=key: s.users.create(user(key, f"{ids.index(key)}@example.org")))
        pair.done(lambda s, key=key: s.api_keys.create(api_key(key, key, prefix=key)))
        pair.done(lambda s, key=key: s.workflows.create(workflow(key, workflow_id=key)))
        pair.done(lambda s, key=key: s.tasks.create(task(key, key, tool_id=key)))
    for key in ids:
        assert pair.done(lambda s, key=key: s.users.get(key)).user_id == key
        assert pair.done(lambda s, key=key: s.api_keys.get_by_prefix(key)).key_id == key
        assert pair.done(lambda s, key=key: s.workflows.latest(key)).workflow_exec_id == key
        [found] = pair.done(lambda s, key=key: s.tasks.list(TaskFilter(tool_id=key)).items)
        assert found.task_exec_id == key
    listed = pair.done(lambda s: s.tasks.list().items)
    assert [found.task_exec_id for found in listed] == ids  # all of one moment: by code point


# --- emails --------------------------------------------------------------------------------------

EMAILS = [
    "i@x", "I@x", "\u0131@x", "\u0130@x", "i\u0307@x",
    "ss@x", "SS@x", "\u00df@x", "\u1e9e@x",
    "\u03c3@x", "\u03c2@x", "\u03a3@x",
    "k@x", "\u212a@x",
    "fi@x", "\ufb01@x",
    "\u00e9@x", "\u00c9@x", "e\u0301@x",
    "a@\u00df", "a@ss",
]  # fmt: skip


@pytest.mark.parametrize("emails", [EMAILS, EMAILS[::-1]], ids=["in order", "reversed"])
def test_emails_are_the_same_where_their_case_foldings_are(pair: Pair, emails: list[str]) -> None:
    holders: dict[str, str] = {}
    for number, email in enumerate(emails):
        given = user(f"u{number}", email)
        did = pair.both(lambda s, given=given: s.users.create(given))
        if email.casefold() in holders:
            assert isinstance(did, EmailExistsError)
        else:
            assert did.email == email
            holders[email.casefold()] = did.user_id
    for email in emails:
        found = pair.done(lambda s, email=email: s.users.get_by_email(email))
        assert found.user_id == holders[email.casefold()]
        other = user("u0", email, version=1)
        pair.both(lambda s, other=other: s.users.update(other))


def test_an_email_of_the_greatest_length_may_grow_when_folded(pair: Pair) -> None:
    growing = [chr(point) for point in range(0x1E00, 0x2000) if len(chr(point).casefold()) > 2]
    email = "".join(random.Random(1).choices(growing, k=318)) + "@x"
    assert len(email.casefold()) > 900
    pair.done(lambda s: s.users.create(user("ann", email)))
    assert pair.done(lambda s: s.users.get_by_email(email)).email == email


# --- the greatest lengths ------------------------------------------------------------------------


def longest_ids() -> Iterator[str]:
    """Ids of 255 astral characters. Random ones: an index would compress what repeats itself."""
    for seed in count():
        yield "".join(map(chr, random.Random(seed).choices(range(0x10000, 0x110000), k=255)))


def test_every_id_may_have_its_greatest_length_at_once(pair: Pair) -> None:
    ids = longest_ids()
    w, other, kind, root, part, leaf, who, does, tool, name = (next(ids) for _ in range(10))
    ann, key, prefix = next(ids), next(ids), next(ids)
    usage = UsageSummary.of(
        [UsageEntry(next(ids), next(ids), 1, agent_ids=(who,), source=next(ids))]
    )
    agent = {"task_id": name, "workflow_id": kind, "agent_id": who, "action_id": does}
    below = {"task_id": name, "workflow_id": kind, "tool_id": tool, "output": {}, "usage": usage}

    pair.done(lambda s: s.users.create(user(ann, "ann@example.org", role=Role.ADMIN)))
    pair.done(lambda s: s.api_keys.create(api_key(key, ann, prefix=prefix)))
    pair.done(lambda s: s.api_keys.list(ApiKeyFilter(ann)).items)
    for key_ in (w, other):
        pair.done(lambda s, key=key_: s.workflows.create(workflow(key, workflow_id=kind)))
    pair.done(lambda s: s.tasks.create(task(root, w, **agent)))
    pair.done(lambda s: s.tasks.create(task(part, w, parent_state_id=root, **below)))
    pair.done(lambda s: s.tasks.upsert(task(leaf, w, parent_state_id=part, **below)))
    pair.done(lambda s: s.tasks.upsert(task(leaf, w, parent_state_id=part, **below)))
    pair.done(lambda s: s.tasks.update(task(root, w, version=1, **agent)))

    filters = TaskFilter(w, [Status.PENDING], [leaf], name, part, tool_id=tool)
    assert len(pair.done(lambda s: s.tasks.list(filters).items)) == 1
    page = pair.done(lambda s: s.tasks.list(limit=1))
    assert len(pair.done(lambda s: s.tasks.list(cursor=page.next_cursor).items)) == 2
    page = pair.done(lambda s: s.workflows.list(WorkflowFilter(kind), limit=1))
    assert len(pair.done(lambda s: s.workflows.list(cursor=page.next_cursor).items)) == 1
    assert len(pair.done(lambda s: s.tasks.tree(root, workflow_exec_id=w))) == 3
    assert len(pair.done(lambda s: s.tasks.children(root, workflow_exec_id=w))) == 1
    assert pair.done(lambda s: s.tasks.child(root, name)).task_exec_id == part
    assert pair.done(lambda s: s.tasks.children_outputs(root)) == {name: {}}
    assert len(pair.done(lambda s: s.tasks.by_agent(w, who))) == 1
    assert len(pair.done(lambda s: s.tasks.by_tool(w, tool))) == 2
    assert pair.done(lambda s: s.workflows.latest(kind, agent_id=who)).workflow_exec_id == w
    assert len(pair.done(lambda s: s.workflows.get(w, with_tasks=True)).tasks) == 1
    pair.done(lambda s: s.workflows.set_status(w, Status.FAILED))
    pair.done(lambda s: s.workflows.purge(END_OF_TIME))
    pair.done(lambda s: s.workflows.delete(other))
    pair.done(lambda s: s.users.delete(ann))


# --- the ends of time and of numbers -------------------------------------------------------------

TIMES = [
    datetime.min.replace(tzinfo=UTC),
    datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1582, 10, 10, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    END_OF_TIME,
]


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_a_time_does_the_same_to_the_microsecond(pair: Pair, time: datetime) -> None:
    pair.done(lambda s: s.users.create(user("ann")))
    made = pair.done(lambda s: s.api_keys.create(api_key("k", last_used=time)))
    assert exact(made.last_used) == exact(time)
    pair.done(lambda s: s.api_keys.touch("k", time))
    pair.done(lambda s: s.workflows.create(workflow()))
    pair.done(lambda s: s.workflows.list(WorkflowFilter(created_from=time)).items)
    pair.done(lambda s: s.workflows.list(WorkflowFilter(created_before=time)).items)
    pair.both(lambda s: s.workflows.update(workflow(version=1, created_at=time)))
    usage = UsageSummary.of([UsageEntry("p", "m", captured_at=time, updated_at=time)])
    pair.done(lambda s: s.workflows.merge_usage("w", usage))
    pair.done(lambda s: s.workflows.purge(time, statuses=list(Status)))


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_a_clock_may_say_any_time(pair: Pair, time: datetime) -> None:
    pair.clock.time = time
    pair.done(lambda s: s.users.create(user("ann")))
    pair.done(lambda s: s.workflows.create(workflow()))
    made = pair.done(lambda s: s.tasks.create(task()))
    assert exact(made.created_at) == exact(time)
    page = pair.done(lambda s: s.tasks.list(limit=1))
    assert page.items == (made,)
    pair.done(lambda s: s.workflows.upsert(workflow()))
    pair.done(lambda s: s.workflows.get("w", with_tasks=True))


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_time_zone_of_the_servers_sessions_changes_nothing(
    make_schema: Callable[..., str], zone: str
) -> None:
    url = make_schema(options=quote(f"-c TimeZone={zone}"))
    with engine_store.open(url, clock=ManualClock()) as store:
        store.users.create(user("ann"))
        for time in TIMES:
            made = store.api_keys.create(api_key(str(time), last_used=time))
            assert exact(made.last_used) == exact(time)
            assert exact(store.api_keys.get(str(time))) == exact(made)


@pytest.mark.parametrize("number", [INT_MIN - 1, INT_MIN, -1, 0, 1, INT_MAX, INT_MAX + 1, True])
def test_a_number_does_the_same_wherever_one_is_given(pair: Pair, number: int) -> None:
    entry = UsageEntry("p", "m", number, total_tokens=number)
    usage = UsageSummary((entry,))
    pair.done(lambda s: s.users.create(user("ann")))
    pair.done(lambda s: s.workflows.create(workflow()))
    pair.done(lambda s: s.tasks.create(task()))
    pair.done(lambda s: s.tasks.create(child("c", "t")))
    for call in (
        lambda s: s.users.update(user("ann", version=number)),
        lambda s: s.workflows.update(workflow(version=number)),
        lambda s: s.tasks.update(task(version=number)),
        lambda s: s.workflows.set_status("w", Status.RUNNING, expected_version=number),
        lambda s: s.workflows.upsert(workflow(usage=usage)),
        lambda s: s.workflows.merge_usage("w", usage),
        lambda s: s.workflows.merge_usage("w", usage),
        lambda s: s.tasks.tree("t", max_depth=number),
        lambda s: s.tasks.list(limit=number).items,
        lambda s: s.workflows.purge(START, batch_size=number),
        lambda s: s.workflows.get("w", with_tasks=True),
    ):
        pair.both(call)
