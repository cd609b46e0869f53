"""A file that is not a whole, unchanged export is refused before anything is written."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from engine_store import transfer
from engine_store.errors import InvalidExportError
from engine_store.protocols import Store

# The lines of the export of `source`, as the tests call them.
HEADER, ANN, K1, BOB, K2, W2, T3, W1, T1, T2, E1, E2, END = range(13)

VERSION_1 = b'{"format":"engine-store","version":1}\n'

Lines = list[bytes]
Damage = Callable[[Lines], Lines]


def replaced(line: int, old: str, new: str) -> Damage:
    def damage(lines: Lines) -> Lines:
        assert old.encode() in lines[line]
        return [*lines[:line], lines[line].replace(old.encode(), new.encode()), *lines[line + 1 :]]

    return damage


def without(line: int) -> Damage:
    return lambda lines: [*lines[:line], *lines[line + 1 :]]


def swapped(one: int, other: int) -> Damage:
    def damage(lines: Lines) -> Lines:
        lines[one], lines[other] = lines[other], lines[one]
        return lines

    return damage


def inserted(line: int, text: bytes) -> Damage:
    return lambda lines: [*lines[:line], text, *lines[line:]]


def refused(store: Store, content: bytes) -> InvalidExportError:
    """The error of importing it, after which nothing is there."""
    with pytest.raises(InvalidExportError) as caught:
        transfer.import_(store, io.BytesIO(content))
    assert sum(transfer.checksum(store).counts.values()) == 0
    assert caught.value.remedy.endswith("nothing was written")
    return caught.value


CHANGED: dict[str, tuple[Damage, int]] = {
    "a field": (replaced(W1, '"RUNNING"', '"SUCCESS"'), END),
    "a number": (replaced(T2, '"version":7', '"version":8'), END),
    "a row too few": (without(T2), END - 1),
    "a row too few at the start": (without(ANN), ANN),  # its key is left behind
    "the checksum": (replaced(END, '"sha256":"', '"sha256":"0'), END),
    "the counts": (replaced(END, '"task":3', '"task":4'), END),
    "a line behind the footer": (inserted(END + 1, b"{}\n"), END + 1),
    "an empty line behind the footer": (inserted(END + 1, b"\n"), END + 1),
    "no footer": (without(END), END),
    "no header": (without(HEADER), HEADER),
    "the header twice": (inserted(1, b'{"format":"engine-store","version":1}\n'), 1),
    "two exports in one file": (lambda lines: lines + lines, END + 1),
}


@pytest.mark.parametrize(("damage", "line"), CHANGED.values(), ids=CHANGED)
def test_a_changed_file_is_refused_with_its_line(
    target: Store, content: bytes, damage: Damage, line: int
) -> None:
    lines = content.splitlines(keepends=True)
    assert refused(target, b"".join(damage(lines))).line == line + 1


FORGED: dict[str, tuple[Damage, int]] = {
    "no JSON": (inserted(T1, b"{\n"), T1),
    "no object": (inserted(T1, b"[]\n"), T1),
    "a text": (inserted(T1, b'"kind"\n'), T1),
    "an empty line": (inserted(T1, b"\n"), T1),
    "no kind": (replaced(T1, '"kind":"task",', ""), T1),
    "an unknown kind": (replaced(T1, '"kind":"task"', '"kind":"log"'), T1),
    "a kind that is none": (replaced(T1, '"kind":"task"', '"kind":{}'), T1),
    "an unknown field": (replaced(T1, '"version":7', '"version":7,"more":1'), T1),
    "a field that no file has": (replaced(W1, '"version":7', '"version":7,"tasks":{}'), W1),
    "a missing field": (replaced(T1, '"parent_state_id":null,', ""), T1),
    "a missing field without a default": (replaced(T1, '"task_id":"t1",', ""), T1),
    "another encoding": (replaced(W1, '"why?"', '"\\"'), W1),
    "nested for ever": (replaced(W1, '"why?"', "[" * 100_000 + "]" * 100_000), W1),
    "an integer beyond 64 bits": (replaced(W1, '"answer":42', '"answer":1' + "0" * 20), W1),
    "a float beyond all": (replaced(W1, '"answer":42', '"answer":1e999'), W1),
    "not a number": (replaced(W1, '"answer":42', '"answer":NaN'), W1),
    "NUL in a text": (replaced(W1, '"why?"', '"\\u0000"'), W1),
    "half a character": (replaced(W1, '"why?"', '"\\ud800"'), W1),
    "version 0": (replaced(T1, '"version":7', '"version":0'), T1),
    "a version as text": (replaced(T1, '"version":7', '"version":"7"'), T1),
    "a time of elsewhere": (replaced(T1, "+00:00", "+01:00"), T1),
    "a time of nowhere": (replaced(T1, "+00:00", ""), T1),
    "an unknown status": (replaced(T1, '"FAILED"', '"LOST"'), T1),
    "a short fingerprint": (replaced(K1, '"fingerprint":"', '"fingerprint":"AAAA'), K1),
    "bytes that are not base64": (replaced(K1, '"hash":"', '"hash":"?'), K1),
    "usage that is none": (replaced(T1, '"prompt_tokens":10', '"prompt_tokens":-1'), T1),
    "usage twice": (replaced(T1, '"total_tokens":15', '"total_tokens":null'), T1),
    "an error that is none": (replaced(T1, '"code":"E42",', ""), T1),
    "a task that is its own parent": (replaced(T2, '_id":"t1"', '_id":"t2"'), T2),
    "a row twice": (lambda lines: inserted(T2, lines[T1])(lines), T2),
    "users out of order": (lambda lines: swapped(ANN, BOB)(swapped(K1, K2)(lines)), BOB),
    "workflows out of order": (
        lambda lines: [*lines[:W2], *lines[W1:END], *lines[W2:W1], lines[END]],
        END - 2,
    ),
    "tasks out of order": (swapped(T1, T2), T2),
    "events out of order": (swapped(E1, E2), E2),
    "an event before a task": (swapped(T2, E1), E1),
    "an event behind another workflow": (swapped(T3, E1), T3),
    "an event of version 1": (
        lambda lines: [VERSION_1, *lines[1:W2], lines[E1], lines[END]],
        W2,
    ),
    "a key behind another user": (swapped(K1, K2), K1),
    "a key before its user": (swapped(ANN, K1), ANN),
    "a task behind another workflow": (swapped(T3, T1), T3),
    "a task before its workflow": (swapped(W2, T3), W2),
    "a user behind the workflows": (
        lambda lines: [*lines[:ANN], *lines[BOB:END], *lines[ANN:BOB], lines[END]],
        END - 2,
    ),
}


@pytest.mark.parametrize(("damage", "line"), FORGED.values(), ids=FORGED)
def test_a_row_as_no_export_has_it_is_refused_even_where_the_checksum_is_right(
    target: Store, content: bytes, damage: Damage, line: int, summed: Damage
) -> None:
    lines = summed(damage(content.splitlines(keepends=True)))
    assert refused(target, b"".join(lines)).line == line + 1


def test_a_file_cut_off_anywhere_is_refused(target: Store, content: bytes) -> None:
    for size in range(len(content)):
        error = refused_without_looking(target, content[:size])
        whole = content[:size].count(b"\n")
        assert error.line == whole + 1
    assert sum(transfer.checksum(target).counts.values()) == 0


def test_a_compressed_file_cut_off_anywhere_is_refused(target: Store, content: bytes) -> None:
    compressed = gzip.compress(content)
    for size in range(len(compressed)):
        refused_without_looking(target, compressed[:size])
    assert sum(transfer.checksum(target).counts.values()) == 0


def test_a_compressed_file_with_any_bit_changed_is_refused_or_means_the_same(
    target: Store, content: bytes
) -> None:
    compressed = gzip.compress(content, mtime=0)
    for place in range(10, len(compressed)):  # behind the header, where the time is
        damaged = bytearray(compressed)
        damaged[place] ^= 1
        refused_without_looking(target, bytes(damaged))
    assert sum(transfer.checksum(target).counts.values()) == 0


def refused_without_looking(store: Store, content: bytes) -> InvalidExportError:
    with pytest.raises(InvalidExportError) as caught:
        transfer.import_(store, io.BytesIO(content))
    return caught.value


OTHER_FILES: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "nothing"),
    "text": (b"hello\n", "another line"),
    "another format": (b'{"format":"other","version":1}\n', "another line"),
    "an array": (b"[1]\n", "another line"),
    "a version to come": (b'{"format":"engine-store","version":3}\n', "version 3"),
    "version 1, and more": (b'{"format":"engine-store","version":1,"x":1}\n', "another line"),
    "a megabyte without a line": (b"\0" * 2**20, "another line"),
}


@pytest.mark.parametrize(("content", "found"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_told_by_its_first_line(target: Store, content: bytes, found: str) -> None:
    error = refused(target, content)
    assert (error.line, error.found) == (1, found)


def test_an_error_shows_no_secret(target: Store, content: bytes) -> None:
    """Not even where the line with the hash is the damaged one."""
    hash_ = json.loads(content.splitlines()[K1])["hash"]
    lines: Any = replaced(K1, '"prefix":"p-k1"', '"prefix":""')(content.splitlines(keepends=True))
    shown = str(refused(target, b"".join(lines)))
    assert shown == (
        "line 3: expected a row, found one that no store takes (key.prefix: expected 1 to 255 "
        "characters, found 0). Get the file again from where it came from, or export again; "
        "nothing was written"
    )
    assert hash_ not in shown


SAME: dict[str, Damage] = {
    "blanks": replaced(T1, '"version":7', ' "version" : 7 '),
    "carriage returns": replaced(T1, "}\n", "}\r\n"),
    "other escapes": replaced(W1, '"why?"', '"\\u0077hy?"'),
    "another order of fields": replaced(T1, '"kind":"task","workflow_exec_id":"w1"',
                                        '"workflow_exec_id":"w1","kind":"task"'),
    "Z for UTC": replaced(K1, '"last_used":"2024-02-29T23:59:59.999999+00:00"',
                              '"last_used":"2024-02-29T23:59:59.999999Z"'),
}  # fmt: skip


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_file_that_another_program_wrote_means_the_same(
    source: Store, target: Store, content: bytes, change: Damage, summed: Damage
) -> None:
    lines = summed(change(content.splitlines(keepends=True)))
    assert transfer.import_(target, io.BytesIO(b"".join(lines))).identical
    assert transfer.checksum(target) == transfer.checksum(source)
