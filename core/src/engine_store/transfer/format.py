"""The format of an export: a header, a line for each row, a footer; written and checked."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import orjson

from engine_store.errors import EngineStoreError, InvalidExportError
from engine_store.models import ApiKey, Event, TaskState, User, WorkflowState
from engine_store.rules.entities import BY_MODEL, BY_NAME, Row
from engine_store.transfer.codec import DECODE_ERRORS, VERSION, decode, encode, kinds
from engine_store.transfer.files import InputFile
from engine_store.transfer.rows import FIRST_ROW, Numbered, named
from engine_store.values import MAX_DOCUMENT_BYTES

FORMAT = "engine-store"

HEADER = orjson.dumps({"format": FORMAT, "version": VERSION})
_HEADERS = {orjson.dumps({"format": FORMAT, "version": n}): n for n in range(1, VERSION + 1)}
_LONGEST_HEADER = 1000
_FOOTER = b'{"kind":"end",'

_PIECE = 2**20

_LONGER = (
    "If this is an export of larger documents, import it with their max_document_bytes; nothing "
    "was written"
)
_AGAIN = "Get the file again from where it came from, or export again; nothing was written"


def footer(counts: Mapping[str, int], checksum: str) -> bytes:
    """Return the last line: how many rows of each kind, and the SHA-256 of all lines before."""
    return orjson.dumps({"kind": "end", "rows": dict(counts), "sha256": checksum})


def write(rows: Iterable[Row], file: BinaryIO) -> None:
    """Write an export of `rows`."""
    counts = dict.fromkeys(BY_NAME, 0)
    digest = hashlib.sha256()

    def put(line: bytes) -> None:
        digest.update(line + b"\n")
        file.write(line + b"\n")

    put(HEADER)
    for row in rows:
        put(encode(row))
        counts[BY_MODEL[type(row)].name] += 1
    file.write(footer(counts, digest.hexdigest()) + b"\n")


def read(source: InputFile, max_document_bytes: int = MAX_DOCUMENT_BYTES) -> Iterator[Numbered]:
    """Yield the rows of an export, each with its line.

    Raises `InvalidExportError` at the first line that is no row, out of order, or longer than a row
    of documents of `max_document_bytes`. Only the end tells whether all lines are there and
    unchanged.
    """
    file = source.open()
    lines = _lines(file, longest_line(max_document_bytes))
    digest = hashlib.sha256()
    order = _Order()
    number, line = 1, _header(file)
    version = _HEADERS[line]
    counts = dict.fromkeys(kinds(version), 0)
    digest.update(line + b"\n")
    for number, line in lines:
        if line.startswith(_FOOTER):
            _check_footer(number, line, footer(counts, digest.hexdigest()))
            break
        row = _row(number, line, max_document_bytes, version)
        order.check(number, row)
        counts[BY_MODEL[type(row)].name] += 1
        digest.update(line + b"\n")
        yield number, row
    else:
        found = f"the end of the file after line {number}"
        raise InvalidExportError(number + 1, "a row or the footer", found, _AGAIN)
    for number, _ in lines:
        raise InvalidExportError(number, "the end of the file", "more lines", _AGAIN)


def longest_line(max_document_bytes: int) -> int:
    """Return how many bytes a row may have.

    Four of its fields have no size of their own. In a file a float may be a fifth longer (1e-07)
    than where it is measured (1e-7), and usage, with the counts that are null, 2.6 times as long.
    """
    return 7 * max_document_bytes + 2**16


def _lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines after the header."""
    number = FIRST_ROW
    while line := _next_line(file, number, longest):
        yield number, line
        number += 1


def _next_line(file: BinaryIO, number: int, longest: int) -> bytes:
    """Return the next line without its end; empty at the end of the file.

    A longer one than `longest` is refused before it is read to its end.
    """
    pieces, size = [], 0
    while piece := _piece(file, number, min(_PIECE, longest + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if piece.endswith(b"\n"):
            break
        if size > longest:
            expected = f"a line of at most {longest} bytes"
            raise InvalidExportError(number, expected, "a longer one", _LONGER)
    return _whole(b"".join(pieces), number)


def _whole(line: bytes, number: int) -> bytes:
    """Return a line without its end; empty at the end of the file."""
    if line == b"\n":
        raise InvalidExportError(number, "a row or the footer", "an empty line", _AGAIN)
    if line and not line.endswith(b"\n"):
        raise InvalidExportError(number, "a whole line", "one that is cut off", _AGAIN)
    return line.removesuffix(b"\n")


def _piece(file: BinaryIO, number: int, size: int) -> bytes:
    try:
        return file.readline(size)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        found = "compressed data that is damaged or cut off"
        raise InvalidExportError(number, "a line", found, _AGAIN) from None


def _header(file: BinaryIO) -> bytes:
    line = _piece(file, 1, _LONGEST_HEADER)
    if len(line) < _LONGEST_HEADER:
        line = _whole(line, 1)
    if line in _HEADERS:
        return line
    expected = f"the header {HEADER.decode()}"
    try:
        given = orjson.loads(line)
        version = given["version"] if given["format"] == FORMAT else None
    except (ValueError, LookupError, TypeError):
        version = None
    if version is None or version in _HEADERS.values():
        remedy = "This is no export of engine-store; nothing was written"
        raise InvalidExportError(1, expected, "another line" if line else "nothing", remedy)
    remedy = "Import it with the version of engine-store that wrote it; nothing was written"
    raise InvalidExportError(1, expected, f"version {version!r:.20}", remedy)


def _row(number: int, line: bytes, max_document_bytes: int, version: int) -> Row:
    try:
        return decode(line, max_document_bytes=max_document_bytes, version=version)
    except EngineStoreError as error:
        found = f"one that no store takes ({error})"
        raise InvalidExportError(number, "a row", found, _AGAIN) from None
    except DECODE_ERRORS:
        expected = "a row with all fields of its kind and no others"
        raise InvalidExportError(number, expected, "another line", _AGAIN) from None


def _check_footer(number: int, line: bytes, expected: bytes) -> None:
    if line != expected:
        found, wanted = line.decode(errors="replace")[:300], expected.decode()
        raise InvalidExportError(number, f"the footer {wanted}", found, _AGAIN)


class _Order:
    """The order of the rows, in which none can occur twice (see `rows.rows`)."""

    def __init__(self) -> None:
        self._owner: Row | None = None
        self._owned: Row | None = None

    def check(self, number: int, row: Row) -> None:
        """Raise `InvalidExportError` if `row` may not follow those before."""
        owner, before = self._owner, self._owned
        match row:
            case User():
                follows = owner is None or (isinstance(owner, User) and _at(owner) < _at(row))
            case WorkflowState():
                follows = not isinstance(owner, WorkflowState) or _at(owner) > _at(row)
            case ApiKey():
                follows = isinstance(owner, User) and owner.user_id == row.user_id
            case TaskState() | Event():
                follows = (
                    isinstance(owner, WorkflowState)
                    and owner.workflow_exec_id == row.workflow_exec_id
                )
        if isinstance(row, User | WorkflowState):
            self._owner, self._owned = row, None
        else:
            follows = follows and (before is None or _comes_before(before, row))
            self._owned = row
        if not follows:
            expected = "rows in the order of an export, keys and tasks after what they belong to"
            raise InvalidExportError(number, expected, named(row), _AGAIN)


def _comes_before(row: Row, other: Row) -> bool:
    """Return whether a row of an owner comes before another: the tasks before the events."""
    if type(row) is not type(other):
        return isinstance(row, TaskState)
    return _at(row) < _at(other)


def _at(row: Row) -> tuple[object, str]:
    return BY_MODEL[type(row)].position(row)
