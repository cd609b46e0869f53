"""Export, import and resumed import on `engine_store.transfer`: copy from this module."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

import engine_store
from engine_store import Store, transfer
from engine_store.errors import NotEmptyError
from export_import.content import clock, fill


@frozen
class Export:
    """A file, how many rows of each kind are in it, and the SHA-256 of its bytes."""

    file: Path
    rows: Mapping[str, int]
    sha256: str


def export(store: Store, file: Path) -> Export:
    """Every row of `store` in a new file, compressed as its name says."""
    rows = transfer.export(store, file)
    return Export(file, rows, hashlib.sha256(file.read_bytes()).hexdigest())


def round_trip(folder: Path, first: str, middle: str, last: str) -> Iterator[Export]:
    """Fill the store `first`, move it on to `middle` and to `last`, and export each."""
    with engine_store.open(first, clock=clock()) as store:
        fill(store)
        yield (exported := export(store, folder / "1-sqlite.jsonl.gz"))
    with engine_store.open(middle) as store:
        transfer.import_(store, exported.file)
        yield (exported := export(store, folder / "2-postgres.jsonl.gz"))
    with engine_store.open(last) as store:
        transfer.import_(store, exported.file)
        yield export(store, folder / "3-sqlite.jsonl.gz")


def refusal(store: Store, file: Path) -> str:
    """What an import into a store with rows says. Nothing is written."""
    try:
        transfer.import_(store, file)
    except NotEmptyError as error:
        return str(error)
    raise AssertionError("an import into a store with rows was not refused")


def resume(store: Store, file: Path, missing: str) -> transfer.TransferReport:
    """The same import, after one that was killed before it came to the execution `missing`."""
    store.workflows.delete(missing)
    return transfer.import_(store, file, existing="skip")
