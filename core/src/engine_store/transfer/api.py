"""Export, import and copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import get_args

from attrs import frozen

from engine_store.errors import InvalidExportError, InvalidValueError, MismatchError, NotEmptyError
from engine_store.protocols import Store
from engine_store.transfer import format as export_format
from engine_store.transfer.checksum import Checksum, Summing, checksum, checksum_of
from engine_store.transfer.codec import canonical
from engine_store.transfer.files import File, created, opened
from engine_store.transfer.importer import Existing, Importer, look_up
from engine_store.transfer.rows import Numbered, OnProgress, RowCounter, named, numbered, rows
from engine_store.values import MAX_DOCUMENT_BYTES

_CHANGED = 'The file changed meanwhile. What was committed stays; go on with existing="skip"'


@frozen
class TransferReport:
    """The result of an import or a copy, by kind (`user`, `api_key`, `workflow`, `task`).

    `checksum` sums all rows of the source. `restored` counts those stored now, `different` those
    left out because the target has another row under their id; `examples` names ten of these. The
    remaining rows existed already, and are equal. `identical`: the target holds these rows and no
    others.
    """

    checksum: Checksum
    restored: Mapping[str, int]
    different: Mapping[str, int]
    examples: tuple[str, ...]
    identical: bool


def export(store: Store, file: File, *, progress: OnProgress | None = None) -> Mapping[str, int]:
    """Write every row of `store` to a file; return how many there are of each kind.

    A path is created for its owner only, and compressed if it ends in `.gz`. Raises
    `TransferError` if it exists. Memory does not grow with the rows. Stores with equal rows give
    equal bytes.

    Others may write meanwhile: a row that exists throughout is in the file once, as it was at some
    moment; a row that comes or goes meanwhile may be in it or not, and a task may be in it without
    its parent. For a snapshot of all rows stop the writers, or use the backup of the database. The
    file is as secret as the database.
    """
    counter = RowCounter(progress)
    with created(file) as new:
        export_format.write(counter.through(rows(store)), new)
    return dict(counter.done)


def import_(
    store: Store,
    file: File,
    *,
    existing: Existing = "refuse",
    progress: OnProgress | None = None,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
) -> TransferReport:
    """Restore every row of an export, with its id, version and times.

    The whole file is checked first: `InvalidExportError` if a line is missing or changed, and
    nothing is written. A line is too long if no row of documents of `max_document_bytes` has it;
    give the setting of the store if that is another one. A file that cannot be read twice, such as
    a pipe, is copied to the disk for that. If the store has rows, `NotEmptyError`, and nothing is
    written, unless `existing` is "skip": then a row whose id exists is left as it is, and compared.
    To resume an import that was killed, run it again with "skip".

    At the end all rows are read again and compared with the file: `MismatchError` if they differ.
    `TransferError` if a row is refused, such as an email that is taken; rows are committed in
    batches, and earlier batches stay.
    """
    with opened(file) as source:
        _check_target(store, existing)
        read = partial(export_format.read, source, max_document_bytes)
        expected = checksum_of(read())
        return _restore(partial(_again, read), expected, store, existing, progress)


def copy(
    source: Store,
    target: Store,
    *,
    existing: Existing = "refuse",
    progress: OnProgress | None = None,
) -> TransferReport:
    """Restore every row of `source` in `target`; the drivers may be different ones.

    Like an export and its import, without a file between them: the same holds for writers,
    `existing`, resuming and errors.
    """
    _check_target(target, existing)
    return _restore(partial(numbered, source), None, target, existing, progress)


def _check_target(store: Store, existing: Existing) -> None:
    if existing not in get_args(Existing):
        raise InvalidValueError("existing", 'expected "refuse" or "skip"')
    if existing == "skip":
        return
    # A key belongs to a user, a task to a workflow.
    for name, page in (
        ("users", store.users.list(limit=1)),
        ("workflows", store.workflows.list(limit=1)),
    ):
        if page.items:
            remedy = 'Name an empty store, or leave what is there as it is with existing="skip"'
            raise NotEmptyError(None, "a store without rows", name, remedy)


def _again(read: Callable[[], Iterator[Numbered]]) -> Iterator[Numbered]:
    """Yield the rows of a file that was read to its end before, and was whole."""
    try:
        yield from read()
    except InvalidExportError as changed:
        raise MismatchError(changed.line, changed.expected, changed.found, _CHANGED) from None


def _restore(
    read: Callable[[], Iterator[Numbered]],
    expected: Checksum | None,
    target: Store,
    existing: Existing,
    progress: OnProgress | None,
) -> TransferReport:
    """Restore what `read` yields, and verify; its checksum may be known already."""
    importer, summing = Importer(target, existing, progress), Summing()
    importer.run(summing.through(read()))
    if expected is not None and summing.checksum != expected:
        raise MismatchError(None, str(expected), str(summing.checksum), _CHANGED)
    identical = _verify(read, summing.checksum, importer, target, existing)
    return TransferReport(
        summing.checksum,
        importer.restored,
        importer.different,
        tuple(importer.examples),
        identical,
    )


def _verify(
    read: Callable[[], Iterator[Numbered]],
    expected: Checksum,
    importer: Importer,
    target: Store,
    existing: Existing,
) -> bool:
    """Return whether the target holds these rows and no others, or raise `MismatchError`."""
    found = checksum(target)
    if found == expected:
        return True
    remedy = "The rows stay. Did another process write meanwhile? Compare both, or do it again"
    if existing == "refuse":
        raise MismatchError(None, str(expected), str(found), remedy)
    # The checksum cannot leave out other rows: look each row up.
    left = sum(importer.different.values())
    for number, row in read():
        stored = look_up(target, row)
        if stored is not None and canonical(stored) == canonical(row):
            continue
        left -= 1
        if left < 0:
            raise MismatchError(number, named(row), "none, or another one", remedy)
    return False
