"""keys: what callers present, made once and never shown again."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from engine_store import keys
from engine_store.cli.run import DryRun, Run, Yes, command, group, table, text
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
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a key: the next check refuses it."""
    by_prefix = name.startswith("es_")
    with run.store() as store:
        keys.check_names(*((None, name) if by_prefix else (name, None)))
        key = store.api_keys.get_by_prefix(name) if by_prefix else store.api_keys.get(name)
        run.remove(
            f"{key.prefix} of {key.user_id}",
            partial(keys.revoke, store, key.key_id),
            _described(key),
            yes=yes,
            dry_run=dry_run,
            verb="revoke",
        )


def _described(key: ApiKey) -> dict[str, object]:
    """What may be shown of a key."""
    shown = ("key_id", "user_id", "prefix", "created_at", "last_used")
    return {name: getattr(key, name) for name in shown}


def _secret(secret: SecretKey, about: str) -> RenderableType:
    about = f"{about}; the key is not to be had again"
    shown = Text("\n", overflow="ignore", no_wrap=True)
    return shown.join([text(secret.reveal()), text(about)])
