"""users: who may use the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table

from engine_store.cli.run import NO, Run, command, confirmed, group
from engine_store.ids import new_id
from engine_store.models import ApiKeyFilter, Role, User, UserFilter
from engine_store.protocols import Store

app = group("Users: who may use the engine.")


@command(app, "list")
def list_users(
    run: Run,
    role: Annotated[Role | None, typer.Option(help="Only users of this role.")] = None,
) -> None:
    """List the users, oldest first."""
    with run.store() as store:
        found = list(_users(store, UserFilter(role)))
    run.answer(found, _table(found))


@command(app)
def show(run: Run, user_id: Annotated[str, typer.Argument(help="The user's id.")]) -> None:
    """Show one user."""
    with run.store() as store:
        found = store.users.get(user_id)
    run.answer(found, _table([found]))


@command(app)
def create(
    run: Run,
    email: Annotated[str, typer.Argument(help="The email, unique in any case.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.USER,
    user_id: Annotated[str | None, typer.Option("--id", help="An id of your own.")] = None,
) -> None:
    """Create a user."""
    with run.store() as store:
        made = store.users.create(User(user_id or new_id(), email, role))
    run.answer(made, _table([made]))


@command(app)
def delete(
    run: Run,
    user_id: Annotated[str, typer.Argument(help="The user's id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete a user with its API keys."""
    with run.store() as store:
        user = store.users.get(user_id)
        keys = store.api_keys.list(ApiKeyFilter(user_id), limit=1000).items
        what = f"{user.email} and {len(keys)} keys"
        if not dry_run:
            if not confirmed(run, f"Delete {what}?", yes=yes):
                raise typer.Exit(NO)
            store.users.delete(user_id)
    verb = "would delete" if dry_run else "deleted"
    run.answer({"user_id": user_id, "keys": len(keys), "dry_run": dry_run}, f"{verb} {what}")


def _users(store: Store, filter: UserFilter) -> Iterator[User]:
    cursor = None
    while True:
        page = store.users.list(filter, limit=1000, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _table(users: list[User]) -> Table:
    table = Table("id", "email", "role", "created", box=None)
    for user in users:
        created = user.created_at.isoformat(" ", "seconds")
        table.add_row(user.user_id, user.email, user.role.value, created)
    return table
