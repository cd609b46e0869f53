"""queues: what waits, and what workers have."""

from __future__ import annotations

from typing import Annotated

import typer

from engine_store.cli.run import Run, command, group, table
from engine_store.models import DEFAULT_QUEUE

app = group("queues", "Count the tasks of queues, list expired leases.")


@command(app, "list")
def list_queues(run: Run) -> None:
    """List queues with the counts of their tasks."""
    with run.store() as store:
        queues = store.tasks.queues()
    shown = table("queue", "ready", "delayed", "leased", "expired", "ready since")
    for name, stats in queues.items():
        since = stats.ready_since
        counts = (stats.ready, stats.delayed, stats.leased, stats.expired)
        shown.add_row(
            name, *map(str, counts), "" if since is None else since.isoformat(" ", "seconds")
        )
    run.answer(queues, shown)


@command(app)
def expired(
    run: Run,
    queue: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"By default {DEFAULT_QUEUE}; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="How many at most.")
    ] = 50,
) -> None:
    """List claims whose lease has expired, oldest first."""
    with run.store() as store:
        claims = store.tasks.expired(queues=queue or [DEFAULT_QUEUE], limit=limit)
    shown = table("task", "worker", "attempt", "expired")
    for claim in claims:
        shown.add_row(
            claim.task.task_exec_id,
            claim.worker,
            str(claim.task.attempt),
            claim.expires_at.isoformat(" ", "seconds"),
        )
    run.answer(claims, shown)
