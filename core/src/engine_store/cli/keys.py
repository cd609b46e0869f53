"""keys: what callers present, made once and never shown again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from engine_store import keys
from engine_store.cli import NO
from engine_store.cli.run import Run, command, confirmed, group, table
from engine_store.keys import SecretKey
from engine_store.models import ApiKey, ApiKeyFilter

app = group("keys", "API keys: made, shown once, revoked.")


@command(app)
def bootstrap(
    run: Run, email: Annotated[str, typer.Argument(help="The email of the first admin.")]
) -> None:
    """Make the first admin, and print its key, this once."""
    with run.store(migrate=True) as store:
        user, key, secret = keys.bootstrap(store, email)
    shown = _secret(secret, f"the first admin is {user.email}, id {user.user_id}")
    run.answer({"user_id": user.user_id, **_described(key), "key": secret.reveal()}, shown)


@command(app)
def create(
    run: Run, user_id: Annotated[str, typer.Argument(help="Whose key it is to be.")]
) -> None:
    """Make a key for a user, and print it, this once."""
    with run.store(migrate=True) as store:
        key, secret = keys.create(store, user_id)
    run.answer({**_described(key), "key": secret.reveal()}, _secret(secret, f"id {key.key_id}"))


@command(app, "list")
def list_keys(
    run: Run,
    user_id: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """List keys by their prefix, oldest first."""
    with run.store() as store:
        page = store.api_keys.list(ApiKeyFilter(user_id), limit=limit, cursor=cursor)
    shown = table("id", "prefix", "user", "last used")
    for key in page.items:
        used = "-" if key.last_used is None else key.last_used.isoformat(" ", "seconds")
        shown.add_row(key.key_id, key.prefix, key.user_id, used)
    if page.next_cursor is not None:
        shown.caption = f"more: --cursor {page.next_cursor}"
    answer = {"items": [_described(key) for key in page.items], "next_cursor": page.next_cursor}
    run.answer(answer, shown)


@command(app)
def revoke(
    run: Run,
    name: Annotated[str, typer.Argument(help="The id of the key, or its prefix.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete a key: the next check refuses it."""
    by_prefix = name.startswith("es_")
    with run.store() as store:
        keys.check_names(*((None, name) if by_prefix else (name, None)))
        key = store.api_keys.get_by_prefix(name) if by_prefix else store.api_keys.get(name)
        if not dry_run:
            if not confirmed(run, f"Revoke {key.prefix} of {key.user_id}?", yes=yes):
                raise typer.Exit(NO)
            keys.revoke(store, key.key_id)
    verb = "would revoke" if dry_run else "revoked"
    run.answer({**_described(key), "dry_run": dry_run}, f"{verb} {key.prefix} of {key.user_id}")


def _described(key: ApiKey) -> dict[str, object]:
    """What may be shown of a key."""
    return {
        "key_id": key.key_id,
        "user_id": key.user_id,
        "prefix": key.prefix,
        "created_at": key.created_at,
        "last_used": key.last_used,
    }


def _secret(secret: SecretKey, about: str) -> RenderableType:
    about = f"{about}; the key is not to be had again"
    return Text(f"{secret.reveal()}\n{about}", overflow="ignore", no_wrap=True)
