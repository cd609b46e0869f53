"""Settings that the drivers of databases with a server have in common."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, frozen

from engine_store.config.structure import Seconds, duration, setting
from engine_store.errors import ConfigurationError
from engine_store.secrecy import secret_text
from engine_store.urls import mask_url


def without_nul(made: object, field: Attribute[Any], value: str | None) -> None:
    """Refuse a text with a NUL, at which a library in C would stop, or that is not Unicode."""
    if "\0" in (value or ""):
        raise ConfigurationError(field.name, "it may not hold NUL")
    if any("\ud800" <= each <= "\udfff" for each in value or ""):
        raise ConfigurationError(field.name, "it may not hold a lone surrogate; write it as UTF-8")


def without_secret(made: object, field: Attribute[Any], value: str | None) -> None:
    """Refuse a text that looks as if it held a password: the errors of a server would quote it."""
    without_nul(made, field, value)
    if value is not None and mask_url(value) != value:
        raise ConfigurationError(
            field.name, "it looks like a URL or a connection string with a password; call it so"
        )


def text(default: str | None, help: str, **more: Any) -> Any:  # noqa: A002 - the word of command lines
    """Return a setting of a text that a server may quote: it is checked `without_secret`."""
    return setting(default=default, validator=without_secret, help=help, **more)


@frozen
class ServerOptions:
    """The base of a driver's settings: where its server is, and how its pool treats connections.

    A driver replaces what has another default for it, and adds its own.
    """

    host: str | None = text(None, "The server.", replaces=["url", "conn_string"])
    user: str | None = text(None, "Who connects.")
    password: str | None = setting(
        default=None,
        converter=secret_text,
        repr=False,
        validator=without_nul,
        help="The password of the user.",
    )
    # Libraries themselves wait for as long as the operating system does, which is minutes.
    connect_timeout: Seconds = duration(10.0, "How long to wait for a connection.", minimum=1)
    # Four engines on one server of PostgreSQL's default 100 connections leave room for others.
    pool_max_size: int = setting(default=8, minimum=1, help="The most connections at a time.")
    pool_timeout: Seconds = duration(10.0, "How long a call waits for a connection of the pool.")
    # See `engine_store.sql.connection.BasePool.check`.
    check: Literal["socket", "query", "off"] = setting(
        default="socket", help="How a connection is looked at before it is used."
    )
