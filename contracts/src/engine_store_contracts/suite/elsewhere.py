"""Sections 1, 2 and 4 in another process: what one has written, one that never wrote reads.

A process may read what it wrote from its own memory, and so never see what it stored. What is
expected is what a store in memory has after the same calls, and not what this process reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TypeAlias

import attrs
import pytest

from engine_store.models import ApiKey, Event, Status, UsageSummary, WorkflowState
from engine_store.protocols import Repositories, Store
from engine_store.transfer.rows import named
from engine_store.transfer.rows import rows as rows_of
from engine_store.values import Document
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.exact import exact_fields
from engine_store_contracts.faces import Face
from engine_store_contracts.harness import Database
from engine_store_contracts.suite.case import ContractCase, clause
from engine_store_contracts.suite.hostile import DOCUMENTS, IDS, TIMES, TWINS, in_every_field
from engine_store_contracts.suite.processes import Worker, at_once, workers
from engine_store_contracts.suite.samples import (
    CHOICES,
    KINDS,
    api_key,
    child,
    fingerprint,
    full_task,
    full_workflow,
    rows_of_choices,
    task,
    user,
    workflow,
    writes_of,
)
from engine_store_contracts.suite.usage import FULL
from engine_store_memory.store import MemoryStore

EVERY_BYTE = bytes(range(256))

Write: TypeAlias = Callable[[Repositories], None]
"""Calls to be made on a store."""


@contextmanager
def reader_of(database: Database) -> Iterator[Worker]:
    """A process that has opened the store of the database and has written nothing."""
    with workers(database, 1) as started:
        at_once(started, "open", [{}])
        [reader] = started
        yield reader


def differences(reader: Worker, reference: Store) -> list[str]:
    """What the process reads otherwise than `reference` has it, field by field."""
    expected = list(rows_of(reference))
    keys = [row for row in expected if isinstance(row, ApiKey)]
    reader.tell("rows", keys=[(key.prefix, key.fingerprint.hex()) for key in keys])
    found = reader.answer()
    kept = [row for row in expected if not isinstance(row, Event)]  # which have no id
    expected += [*kept, *(key for key in keys for _ in range(2))]
    if len(found) != len(expected):
        return [f"instead of {len(expected)} rows read: {found}"]
    return [
        f"{named(row)}.{field} is {value}, and not {wanted}"
        for fields, row in zip(found, expected, strict=True)
        for field, wanted in exact_fields(row).items()
        if (value := fields.get(field)) != wanted
    ]


Check: TypeAlias = Callable[[Write], None]
"""Makes the calls, and checks that another process reads what they have written."""


# The process that reads has a face of its own; the random calls are read so for both faces.
class ElsewhereCases(ContractCase, faces=(Face.SYNC,), needs=("processes", "reopen")):
    """Contract 1, 2.1, 2.9 and 4.4 in another process. Needs `harness.url`."""

    @pytest.fixture
    def check(self, store: Store, database: Database, clock: ManualClock) -> Check:
        """See `Check`. The store stays open meanwhile: nothing waits for its end to be written."""

        def check(write: Write) -> None:
            reference = MemoryStore(clock)
            start = clock()
            for written in (store, reference):
                clock.time = start
                write(written)
            with reader_of(database) as reader:
                assert differences(reader, reference) == []

        return check

    @clause("1.2", "1.3")
    def test_another_process_reads_documents_to_the_type(self, check: Check) -> None:
        def write(store: Repositories) -> None:
            for name, document in {**DOCUMENTS, "absent": None}.items():
                fields = in_every_field(document)
                store.workflows.create(workflow(name, **fields))
                store.tasks.create(task(name, name, **fields))

        check(write)

    @clause("2.1", "1.3")
    def test_another_process_reads_every_field_of_every_kind(self, check: Check) -> None:
        def write(store: Repositories) -> None:
            for kind, field, choices in CHOICES:
                for row in rows_of_choices(kind, field, choices):
                    kind.repository(store).create(row)
            for kind in KINDS:
                repository = kind.repository(store)
                repository.create(kind.make("x"))
                for _, write in writes_of(kind):
                    write(repository)
            usage = UsageSummary.of([FULL])
            store.workflows.create(full_workflow("full"))
            store.workflows.merge_usage("full", usage)
            store.tasks.create(full_task("full"))
            store.tasks.merge_usage("full", usage)
            store.tasks.create(child("tool", "full", tool_id="search"))
            for key, transform in (("done", None), ("not transformed", _raise)):
                output: Document = {"zero": -0.0, "none": None, "empty": {}}
                store.workflows.create(workflow(key))
                store.tasks.create(task(key, key, status=Status.SUCCESS, output=output))
                store.workflows.complete(key, transform)

        check(write)

    @clause("1.1", "1.3")
    def test_another_process_reads_ids_as_they_are(self, check: Check) -> None:
        def write(store: Repositories) -> None:
            for number, text in enumerate(dict.fromkeys([*IDS.values(), *chain(*TWINS.values())])):
                store.users.create(user(text, f"{number}@example.org"))
                store.api_keys.create(api_key(text, text, prefix=text))
                store.workflows.create(workflow(text, workflow_id=text))
                actor = {"agent_id": text, "action_id": text}
                store.tasks.create(task(text, text, workflow_id=text, **actor))
                below = child(f"tool {number}", text, workflow_exec_id=text, tool_id=text)
                store.tasks.create(below)

        check(write)

    @clause("1.5")
    def test_another_process_reads_every_microsecond(
        self, check: Check, clock: ManualClock
    ) -> None:
        def write(store: Repositories) -> None:
            for number, time in enumerate(TIMES):
                key, clock.time = str(number), time
                store.users.create(user(key))
                store.api_keys.create(api_key(key, key))
                store.workflows.create(workflow(key))
                store.tasks.create(task(key, key))
                entry = attrs.evolve(FULL, captured_at=time, updated_at=time)
                usage = UsageSummary.of([entry])
                if number + 1 < len(TIMES):
                    clock.tick(microseconds=1)
                store.api_keys.touch(key)
                store.workflows.merge_usage(key, usage)
                store.tasks.merge_usage(key, usage)

        check(write)

    @clause("4.4")
    def test_another_process_finds_keys_and_reads_their_bytes(self, check: Check) -> None:
        fingerprints = [fingerprint("key"), bytes(32), b"\xff" * 32, EVERY_BYTE[:32]]

        def write(store: Repositories) -> None:
            store.users.create(user())
            for number, mark in enumerate(fingerprints):
                hashed = EVERY_BYTE + mark
                store.api_keys.create(api_key(str(number), fingerprint=mark, hash=hashed))

        check(write)

    @clause("2.9")
    def test_another_process_reads_what_was_restored(self, check: Check) -> None:
        def write(store: Repositories) -> None:
            for kind in KINDS:
                kind.repository(store).restore(kind.exported())

        check(write)


def _raise(state: WorkflowState) -> Document:
    raise LookupError(state.workflow_exec_id)
