"""Files that hold exports: made for their owner only, compressed if the name says so."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeAlias, cast

from attrs import frozen

from engine_store.errors import TransferError

File: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A path, or a binary file that is open already."""

_GZIP = b"\x1f\x8b"
_OWNER_ONLY = 0o600


@contextmanager
def created(file: File) -> Iterator[BinaryIO]:
    """Create a file to write to, compressed if its name ends in `.gz`; take an open one as it is.

    A new file is on the disk at the end, and removed if the block fails. Raises `TransferError`
    if the file exists, `OSError` if it cannot be created.
    """
    if not isinstance(file, str | os.PathLike):
        yield file
        file.flush()
        return
    path = Path(file)
    try:
        raw = open(path, "xb", opener=_opener)  # noqa: SIM115 - a Path takes no opener
    except FileExistsError:
        remedy = "Name another file, or remove this one"
        raise TransferError(None, f"no file at {path}", "one", remedy) from None
    try:
        with raw:
            if path.suffix == ".gz":
                # Without name and time, so that the same rows give the same bytes.
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as compressed:
                    yield cast("BinaryIO", compressed)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, _OWNER_ONLY)


@frozen
class InputFile:
    """A file that can be read again and again, from where it began."""

    _raw: BinaryIO
    _start: int

    def open(self) -> BinaryIO:
        """Return the file at its beginning; decompress it if it is compressed."""
        self._raw.seek(self._start)
        compressed = self._raw.read(len(_GZIP)) == _GZIP
        self._raw.seek(self._start)
        if compressed:
            return cast("BinaryIO", gzip.GzipFile(fileobj=self._raw))
        return self._raw


@contextmanager
def opened(file: File) -> Iterator[InputFile]:
    """Open a file to read from. One that cannot seek, such as a pipe, is copied to the disk first.

    The copy is temporary and has no name. Raises `OSError` if the file cannot be read.
    """
    with ExitStack() as stack:
        raw = file
        if isinstance(raw, str | os.PathLike):
            raw = stack.enter_context(Path(raw).open("rb"))
        if not raw.seekable():
            spooled = stack.enter_context(TemporaryFile())
            shutil.copyfileobj(raw, spooled)
            spooled.seek(0)
            raw = cast("BinaryIO", spooled)
        yield InputFile(raw, raw.tell())
