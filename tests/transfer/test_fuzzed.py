"""Files that no export wrote: an import ends well, or with an error of ours and nothing written.

`EXPORTS` in the environment makes more of them than the usual run, and `SEED` other ones. Checksums
fit again after most changes, so that what is in the lines is looked at.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import engine_store
from engine_store import transfer
from engine_store.errors import EngineStoreError, TransferError
from engine_store.models import Status, UsageEntry, UsageSummary
from engine_store.protocols import Store

pytestmark = pytest.mark.usefixtures("unmeasured")  # the other tests run the same lines

FILES = int(os.environ.get("EXPORTS", "150"))
SEED = int(os.environ.get("SEED", "1"))

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        42,
        2**53,
        2**62,
        2**62 + 1,
        2**63 - 1,
        2**63,
        -(2**63),
        10**30,
    ),
    *(0.0, -0.0, 1.0, 1e17, 1e308, float("nan"), float("inf")),
    *("", "x", "ann", "w1", "t1", "t2", "x" * 255, "x" * 256, "a\0b", "\ud800", "é", "\U00010000"),
    *("PENDING", "SUCCESS", "admin", "user", "task", "workflow", "basic", "router", "QUJD", "QUJ"),
    *("2024-02-29T12:00:00+00:00", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999Z"),
    *("2024-02-29T12:00:00", "2024-02-29T12:00:00+05:30", "2024-13-01", "now", "20240229T120000Z"),
    *("9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "2024-02-29T24:00:00Z"),
    *([], {}, [[]], {"a": 1}, [1, "a"], {"": {}}, [{"provider": "p", "model": "m"}]),
]

Mutation = Callable[[Random, list[bytes]], list[bytes]]


def a_value(random: Random, lines: list[bytes]) -> list[bytes]:
    """Another value somewhere in a row, and often in a second place."""
    for _ in range(random.choice([1, 1, 2])):
        at = random.randrange(1, len(lines) - 1)
        try:
            row = json.loads(lines[at])
        except ValueError:
            continue
        place: Any = row
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and random.random() < 0.7:
                place = place[key]
                continue
            place[key] = random.choice(VALUES)
            break
        lines[at] = _line(row)
    return lines


def a_field(random: Random, lines: list[bytes]) -> list[bytes]:
    """A field less, one more, or one twice, with one value or two."""
    at = random.randrange(1, len(lines) - 1)
    row = json.loads(lines[at])
    key = random.choice(list(row))
    match random.randrange(3):
        case 0:
            del row[key]
        case 1:
            row[random.choice(["more", "tasks", "Kind", ""])] = random.choice(VALUES)
        case _:
            twice = f'{{"{key}":{json.dumps(random.choice(VALUES))},'.encode()
            return [*lines[:at], twice + lines[at][1:], *lines[at + 1 :]]
    return [*lines[:at], _line(row), *lines[at + 1 :]]


def a_number(random: Random, lines: list[bytes]) -> list[bytes]:
    """A number written as few do it."""
    at = random.randrange(1, len(lines) - 1)
    written = ["1e0", "-0", "01", "1.", "+1", "0x1", "1e400", "1E5", "9" * 5000, "NaN", "-Infinity"]
    number = random.choice([*written, "9223372036854775807", "9223372036854775806"]).encode()
    for old in random.sample([b'"version":7', b":42", b":10", b":5", b":1.5"], 5):
        if old in lines[at]:
            name, colon, _ = old.rpartition(b":")
            lines[at] = lines[at].replace(old, name + colon + number)
            break
    return lines


def nesting(random: Random, lines: list[bytes]) -> list[bytes]:
    """Deep nesting, on either side of what a document, a parser or a stack takes."""
    at = random.randrange(1, len(lines) - 1)
    depth = random.choice([97, 98, 99, 100, 101, 103, 253, 255, 990, 1100, 20_000])
    deep = random.choice([b"[" * depth + b"]" * depth, b'{"k":' * depth + b"1" + b"}" * depth])
    for old in random.sample([b'"why?"', b"null", b":7", b":[", b'"w1"'], 5):
        if old in lines[at]:
            lines[at] = lines[at].replace(old, old[:1] + deep if old[:1] == b":" else deep, 1)
            break
    return lines


def the_lines(random: Random, lines: list[bytes]) -> list[bytes]:
    """A line less, twice, elsewhere, empty, or of another kind."""
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            lines.insert(at, random.choice([b"\n", b" \n", b"{}\n", b"[]\n", b"null\n", b"7\n"]))
        case _:
            lines[at] = lines[at].replace(b"\n", random.choice([b"", b"\r\n", b" \n", b"\n\n"]))
    return lines


def the_bytes(random: Random, lines: list[bytes]) -> list[bytes]:
    """Some bytes of a line changed, inserted or removed."""
    at = random.randrange(len(lines))
    line = bytearray(lines[at])
    for _ in range(random.choice([1, 1, 2, 8])):
        place = random.randrange(len(line))
        line[place : place + random.randrange(3)] = random.randbytes(random.randrange(3))
        line = line or bytearray(b"\n")
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def the_header(random: Random, lines: list[bytes]) -> list[bytes]:
    """Another header."""
    header = {"format": "engine-store", "version": 1}
    header[random.choice(["format", "version", "more"])] = random.choice(VALUES)
    return [_line(header), *lines[1:]]


def the_footer(random: Random, lines: list[bytes]) -> list[bytes]:
    """Another footer, for the same rows."""
    footer = json.loads(lines[-1])
    place = random.choice([footer, footer["rows"]])
    place[random.choice(list(place))] = random.choice(VALUES)
    return [*lines[:-1], _line(footer)]


MUTATIONS: list[Mutation] = [
    *(a_value, a_value, a_value, a_field, a_number, nesting),
    *(the_lines, the_bytes, the_header, the_footer),
]


def _line(row: object) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def fuzzed(random: Random, content: bytes, summed: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """An export with one mutation or more; cut off and compressed, now and then."""
    lines = content.splitlines(keepends=True)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        if len(lines) > 2:
            try:
                lines = random.choice(MUTATIONS)(random, lines)
            except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
                continue  # it is no row any more
    if lines and random.random() < 0.9:
        lines = summed(lines)
    made = b"".join(lines)
    if random.random() < 0.05:
        made = made[: random.randrange(len(made) + 1)]
    if random.random() < 0.2:
        made = gzip.compress(made, 1)
        if random.random() < 0.3:
            made = made[: random.randrange(len(made) + 1)]
        elif random.random() < 0.3:
            place = random.randrange(len(made))
            made = made[:place] + random.randbytes(1) + made[place + 1 :]
    return made


def ended(store: Store, content: bytes) -> str:
    """How the import ended: with the checksum of its rows, or its error."""
    try:
        report = transfer.import_(store, io.BytesIO(content))
    except EngineStoreError as error:
        assert transfer.checksum(store).counts == dict.fromkeys(
            ("user", "api_key", "workflow", "task", "event"), 0
        )
        assert isinstance(error, TransferError)
        return f"{type(error).__name__}: {error}"
    assert report.identical
    return str(report.checksum.sha256)


def write_to_all(store: Store) -> None:
    """Write to every row in every way that adds to it: none may be one that nobody can write to."""
    for user in store.users.list(limit=1000).items:
        assert store.users.update(user).version == user.version + 1
    for key in store.api_keys.list(limit=1000).items:
        store.api_keys.touch(key.key_id)
    more = UsageSummary.of([UsageEntry("another", "model", 1, 1)])
    for task in store.tasks.list(limit=1000).items:
        assert store.tasks.update(task).version == task.version + 1
        assert store.tasks.merge_usage(task.task_exec_id, more).version == task.version + 2
    for workflow in store.workflows.list(limit=1000).items:
        store.workflows.update(workflow)
        store.workflows.merge_usage(workflow.workflow_exec_id, more)
        store.workflows.set_status(workflow.workflow_exec_id, Status.RUNNING)


def test_an_import_of_any_file_ends_well_or_with_an_error_and_nothing_written(
    content: bytes, summed: Callable[[list[bytes]], list[bytes]]
) -> None:
    found = {"restored": 0, "refused": 0}
    for number in range(FILES):
        made = fuzzed(Random(f"{SEED} {number}"), content, summed)
        ends = []
        for url in ("sqlite:///:memory:", "memory://"):
            with engine_store.open(url) as store:
                try:
                    ends.append(ended(store, made))
                    if not sum(transfer.checksum(store).counts.values()):
                        continue
                    again = io.BytesIO()
                    transfer.export(store, again)
                    ends[-1] += hashlib.sha256(again.getvalue()).hexdigest()
                    write_to_all(store)
                except Exception as error:
                    error.add_note(f"file {number} of seed {SEED} in {url}")
                    raise
        assert ends[0] == ends[1], f"file {number} of seed {SEED}"
        found["refused" if "Error" in ends[0] else "restored"] += 1
    assert min(found.values()) > FILES // 20, found  # the files are neither all good nor all bad
