"""Export, import and copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import get_args

from attrs import frozen

from engine_store.errors import (
    InvalidExportError,
    InvalidValueError,
    MismatchError,
    NotEmptyError,
)
from engine_store.protocols import Store
from engine_store.transfer import format as export_format
from engine_store.transfer.files import File, Source, created, opened
from engine_store.transfer.lines import canonical
from engine_store.transfer.restoring import Existing, Restorer, look_up
from engine_store.transfer.rows import (
    KIND_OF,
    PAGE,
    Meter,
    Numbered,
    OnProgress,
    Row,
    numbered,
    rows,
)
from engine_store.transfer.totals import Tally, Totals, totals, totals_of

_CHANGED = 'The file changed meanwhile. What was committed stays; go on with existing="skip"'


@frozen
class Report:
    """What an import or a copy did, by kind (`user`, `api_key`, `workflow`, `task`).

    `totals` is of the rows that came, `restored` counts those stored now, `different` those left
    out because the target has another row under their id; `examples` names ten of these. The
    others were there already, and equal. `identical`: the target holds these rows and no others.
    """

    totals: Totals
    restored: Mapping[str, int]
    different: Mapping[str, int]
    examples: tuple[str, ...]
    identical: bool


def export(store: Store, file: File, *, progress: OnProgress | None = None) -> Mapping[str, int]:
    """Write every row of `store` to a file; how many of each kind.

    A path is made, for its owner only, and compressed where it ends in `.gz`; where it is there
    already, `TransferError`. Memory does not grow with the rows. Stores with equal rows give equal
    bytes.

    Others may write meanwhile: a row that exists throughout is in the file once, as it was at some
    moment; a row that comes or goes meanwhile may be in it or not, and a task may be in it without
    its parent. For one moment of all rows stop the writers, or use the backup of the database. The
    file is as secret as the database.
    """
    meter = Meter(progress)

    def wrote(row: Row) -> None:
        meter.done[KIND_OF[type(row)].name] += 1
        if not sum(meter.done.values()) % PAGE:
            meter.tell()

    with created(file) as new:
        export_format.write(rows(store), new, wrote)
        meter.tell()
    return dict(meter.done)


def import_(
    store: Store,
    file: File,
    *,
    existing: Existing = "refuse",
    progress: OnProgress | None = None,
) -> Report:
    """Restore every row of an export, with its id, version and times.

    The whole file is checked first: where a line is missing or changed, `InvalidExportError`, and
    nothing is written. A file that cannot be read twice, as a pipe, is copied to the disk for
    that. Where there are rows in the store, `NotEmptyError`, and nothing is written, unless
    `existing` is "skip": then a row whose id is there is left as it is, and compared. So an
    import that was killed is resumed by running it again with "skip".

    At the end all is read again and compared with the file: `MismatchError` where it differs.
    `TransferError` where a row is refused, as an email that is taken; rows are committed in
    batches, and those before stay.
    """
    with opened(file) as source:
        _check_target(store, existing)
        expected = totals_of(export_format.read(source))
        return _restore(partial(_again, source), expected, store, existing, progress)


def copy(
    source: Store,
    target: Store,
    *,
    existing: Existing = "refuse",
    progress: OnProgress | None = None,
) -> Report:
    """Restore every row of `source` in `target`; the drivers may be different ones.

    As an export and its import, without a file between them: what is said there of writers, of
    `existing`, of resuming and of errors holds here.
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


def _again(source: Source) -> Iterator[Numbered]:
    """The rows of a file that has been read to its end, and was whole."""
    try:
        yield from export_format.read(source)
    except InvalidExportError as changed:
        raise MismatchError(changed.line, changed.expected, changed.found, _CHANGED) from None


def _restore(
    read: Callable[[], Iterator[Numbered]],
    expected: Totals | None,
    target: Store,
    existing: Existing,
    progress: OnProgress | None,
) -> Report:
    """Restore what `read` gives, and verify; what it adds up to may be known already."""
    restorer, tally = Restorer(target, existing, progress), Tally()
    restorer.run(tally.through(read()))
    if expected is not None and tally.totals != expected:
        raise MismatchError(None, str(expected), str(tally.totals), _CHANGED)
    identical = _verify(read, tally.totals, restorer, target, existing)
    return Report(
        tally.totals,
        restorer.restored,
        restorer.different,
        tuple(restorer.examples),
        identical,
    )


def _verify(
    read: Callable[[], Iterator[Numbered]],
    expected: Totals,
    restorer: Restorer,
    target: Store,
    existing: Existing,
) -> bool:
    """Whether the target holds these rows and no others. Raises `MismatchError`."""
    found = totals(target)
    if found == expected:
        return True
    remedy = "The rows stay. Did somebody write meanwhile? Compare both, or do it again"
    if existing == "refuse":
        raise MismatchError(None, str(expected), str(found), remedy)
    # Others are there too, which the totals cannot leave out: each row is looked up.
    left = sum(restorer.different.values())
    for number, row in read():
        stored = look_up(target, row)
        if stored is not None and canonical(stored) == canonical(row):
            continue
        left -= 1
        if left < 0:
            kind = KIND_OF[type(row)]
            wanted = f"{kind.name} {kind.key(row)!r}"
            raise MismatchError(number, wanted, "none, or another one", remedy)
    return False
