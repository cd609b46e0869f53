"""The streams of a command: what goes out is escaped, and a stream that fails is one line."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from engine_store.errors import ConfigurationError


def printable(text: object, *, keep: str = "") -> str:
    """Return `text` with escapes for what a terminal would obey, but for the characters `keep`."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in shown
    )


def to_json(data: Any, *, indent: int | None = 2) -> str:
    """Return JSON of the same data, with escapes for what a terminal would obey."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )


def tell(line: object) -> None:
    """Write a line to the error output."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


@contextmanager
def streams() -> Iterator[None]:
    """Have the streams take any text while the block runs, and go without an error output.

    If that is closed or full there is nobody to tell.
    """
    _fill_gaps()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    told = sys.stderr
    if not isinstance(told, io.TextIOWrapper):  # somebody keeps what is said in memory
        yield
        return
    sys.stderr = quiet = _Quiet(told.buffer, told.encoding, "backslashreplace", line_buffering=True)
    try:
        yield
    finally:
        quiet.flush()
        quiet.detach()
        sys.stderr = told


@contextmanager
def output() -> Iterator[None]:
    """Have the output written when the block ends.

    Raises `ConfigurationError` if it cannot be, because it is full or closed, and for a file that
    the system refuses; `BrokenPipeError` if the other end of a pipe was closed.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        place, reason = error.filename, error.strerror or type(error).__name__
        if place is not None:
            raise ConfigurationError(str(place), reason) from None
        raise ConfigurationError("output", f"it cannot be written: {reason}") from None
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            _give_up(sys.stdout)


class _Quiet(io.TextIOWrapper):
    """A stream that gives up if it cannot be written to."""

    def write(self, text: str, /) -> int:
        with _or_give_up(self):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with _or_give_up(self):
            super().flush()


@contextmanager
def _or_give_up(stream: IO[str]) -> Iterator[None]:
    try:
        yield
    except OSError:
        _give_up(stream)


def _fill_gaps() -> None:
    """Put a stream where one is closed: else the next file that is opened would be taken for it.

    Nothing can be written to it, as nothing can be to one that is closed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free
            setattr(sys, name, open(nothing, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _give_up(stream: IO[str]) -> None:
    """Let go of a stream: what is in its buffer would be tried again at the very end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
