"""The example of `docs/export-format.md` is an export."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

import engine_store
from engine_store import transfer
from engine_store.models import (
    ApiKey,
    Component,
    ErrorInfo,
    Role,
    Status,
    TaskState,
    UsageEntry,
    UsageSummary,
    User,
    WorkflowState,
)
from engine_store_contracts.clock import ManualClock

PAGE = Path(__file__).parents[2] / "docs" / "export-format.md"
VERSION_1 = Path(__file__).with_name("version_1.jsonl")


def example() -> bytes:
    found = re.search(r"^```jsonl\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1].encode()


def test_the_example_of_the_page_is_what_an_export_writes() -> None:
    clock = ManualClock(datetime(2026, 1, 31, 12, tzinfo=UTC))
    with engine_store.open("sqlite:///:memory:", clock=clock) as store:
        store.users.create(User("ann", "Ann@example.org", Role.ADMIN))
        store.api_keys.create(ApiKey("key-1", "ann", "es_live_1", bytes(range(32)), b"scrypt"))
        document = {"limit": 1e17, "zero": -0.0, "word": "caf\u00e9"}
        made = store.workflows.create(WorkflowState("w-1", "nightly-report", input=document))
        clock.time += timedelta(seconds=1.5)
        store.workflows.update(attrs.evolve(made, status=Status.RUNNING))
        store.tasks.create(
            TaskState(
                "w-1",
                "t-1",
                "draft",
                "nightly-report",
                component=Component.AGENT,
                status=Status.FAILED,
                agent_id="writer",
                action_id="write",
                error=ErrorInfo("it broke", "E42", {}),
                usage=UsageSummary.of([UsageEntry("openai", "gpt", 10, 5, agent_ids=("writer",))]),
            )
        )
        store.events.append("w-1", "approved", {"by": "ann"}, task_exec_id="t-1", key="approval")
        file = io.BytesIO()
        transfer.export(store, file)
    assert file.getvalue().decode() == example().decode()


def test_the_example_of_the_page_can_be_imported() -> None:
    with engine_store.open("sqlite:///:memory:") as store:
        report = transfer.import_(store, io.BytesIO(example()))
        assert set(report.checksum.counts.values()) == {1}
        assert store.tasks.get("t-1").created_at == datetime(2026, 1, 31, 12, 0, 1, 500_000, UTC)


def test_an_export_of_version_1_can_be_imported() -> None:
    """Its tasks get the defaults of what came later."""
    with engine_store.open("sqlite:///:memory:") as store:
        assert transfer.import_(store, VERSION_1).identical
        old = store.tasks.get("t-1")
        with engine_store.open("sqlite:///:memory:") as other:
            transfer.import_(other, io.BytesIO(example()))
            assert other.tasks.get("t-1") == old
        assert (old.queue, old.priority, old.due_at, old.attempt) == ("default", 0, None, 0)
