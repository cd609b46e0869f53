"""migrate: the steps of the schema."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType

from engine_store.cli import NO
from engine_store.cli.run import Run, Yes, command, group, table, text
from engine_store.errors import SchemaError
from engine_store.migrations import MigrationPlan

app = group("migrate", "Look at the steps of the schema, run them.")

Target = Annotated[
    int | None, typer.Option(metavar="STEP", help="The step to end at; the newest by default.")
]


@command(app)
def status(run: Run) -> None:
    """List the steps, and when each was applied.

    Exit code 1 where some are missing.
    """
    with run.store(any_schema=True) as store:
        steps = store.migrator.status()
    shown = table("step", "name", "applied")
    for step in steps:
        applied = "-" if step.applied_at is None else step.applied_at.isoformat(" ", "seconds")
        shown.add_row(str(step.version), step.name, applied)
    run.answer(steps, shown)
    if any(step.applied_at is None for step in steps):
        raise typer.Exit(NO)


@command(app)
def plan(run: Run, target: Target = None) -> None:
    """Print the SQL that would be run."""
    with run.store(any_schema=True) as store:
        found = store.migrator.plan(target)
    run.answer(_described(found), _sql(run, found))


@command(app)
def up(run: Run, target: Target = None) -> None:
    """Apply the missing steps."""
    with run.store(any_schema=True) as store:
        done = store.migrator.up(target)
    run.answer(_described(done), _sentence(done, "applied"))


@command(app)
def down(
    run: Run,
    target: Annotated[int, typer.Argument(help="The step to go back to; 0 reverts them all.")],
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the SQL.")] = False,
) -> None:
    """Revert steps. What they hold is lost."""
    with run.store(any_schema=True) as store:
        found = store.migrator.plan(target)
        if dry_run:
            run.answer(_described(found), _sql(run, found))
            return
        lost = ", ".join(f"{step.version} {step.name}" for step in found.steps)
        if found.steps:
            run.confirm(f"Revert {lost} and lose their data?", yes=yes)
        done = store.migrator.down(target)
    run.answer(_described(done), _sentence(done, "reverted"))


@command(app)
def verify(run: Run) -> None:
    """Compare the schema with that of the code.

    Exit code 1 where they differ.
    """
    with run.store(any_schema=True) as store:
        try:
            store.migrator.verify()
        except SchemaError as error:
            run.answer({"ok": False, "problem": str(error)}, text((str(error), "red")))
            raise typer.Exit(NO) from None
    run.answer({"ok": True, "problem": None}, "the schema is that of the code")


def _sql(run: Run, plan: MigrationPlan) -> RenderableType:
    if not plan.steps:
        return "nothing to do"
    if not run.console.is_terminal:
        return plan.sql.rstrip()
    from rich.syntax import Syntax  # as much to import as the rest of the command line

    return Syntax(plan.sql, "sql", background_color="default")


def _described(plan: MigrationPlan) -> dict[str, object]:
    steps = [{"version": step.version, "name": step.name} for step in plan.steps]
    return {"direction": plan.direction.value, "steps": steps, "sql": plan.sql}


def _sentence(plan: MigrationPlan, verb: str) -> str:
    names = ", ".join(f"{step.version} {step.name}" for step in plan.steps)
    return f"{verb}: {names}" if names else "nothing to do"
