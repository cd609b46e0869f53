"""The driver's settings, and the connection string made of a URL or of separate fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

import psycopg
from attrs import Attribute, asdict, field, fields_dict, frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine_store.config import (
    DAY,
    DatabaseConfig,
    Seconds,
    Text,
    duration,
    setting,
    without_nul,
    without_secret,
)
from engine_store.errors import ConfigurationError
from engine_store.protocols import Endpoint
from engine_store.urls import mask_url

_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_URL = re.compile("postgres(?:ql)?://")
_STRAY_AT = re.compile(r"(?s)postgres(?:ql)?://(?:[^@/]*@)?+[^?]*@")
"""A URL with an @ that libpq would take for a part of a host's or a database's name. It is the end
of a password with special characters that are not escaped."""

_SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
_SessionAttrs = Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]

_PARAMETERS = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
"""What libpq knows by name."""


def _plain_name(made: object, field: Attribute[Any], value: str) -> None:
    if not _SCHEMA.fullmatch(value):
        raise ConfigurationError(
            field.name,
            "expected a name of small letters, digits and _, at most 63 characters, that does not "
            f"begin with a digit or pg_, found {mask_url(value)!r}",
        )


@frozen
class PostgresOptions:
    """Settings of the PostgreSQL driver, from the URL's query or the configuration's `options`.

    A URL or `conn_string` wins over the separate fields; several hosts are separated by commas.
    Times are seconds.
    """

    conn_string: str | None = setting(
        default=None,
        repr=False,
        validator=without_nul,
        replaces=["url", "host", "port", "user", "password", "dbname"],
        help="A URL or a connection string of libpq, in one text.",
    )
    host: str | None = setting(
        default=None,
        validator=without_secret,
        replaces=["url", "conn_string"],
        help="The server; several are separated by commas.",
    )
    port: Text | None = setting(default=None, help="Its port, or one for each host.")
    user: str | None = setting(default=None, validator=without_secret, help="Who connects.")
    password: str | None = setting(
        default=None, repr=False, validator=without_nul, help="The password of the user."
    )
    dbname: str | None = setting(
        default=None, also="name", validator=without_secret, help="The database."
    )
    sslmode: _SslMode | None = setting(
        default=None, also="ssl_mode", help="Whether the connection is encrypted and verified."
    )
    target_session_attrs: _SessionAttrs | None = setting(
        default=None, help="Which of several hosts will do."
    )
    application_name: str = setting(
        default="engine-store",
        validator=without_secret,
        help="What the server shows of the connections.",
    )
    # libpq itself would wait for as long as the operating system does, which is minutes.
    connect_timeout: Seconds = duration(
        10.0,
        "How long to wait for a connection; libpq counts whole seconds, so rounded up.",
        minimum=1,
    )
    # A schema of its own: an application has a table `users` in `public` already.
    schema: str = setting(
        default="engine_store", validator=_plain_name, help="The schema of the tables."
    )
    # One is kept, so that the first call after a quiet hour need not connect.
    pool_min_size: int = setting(default=1, minimum=0, help="Connections that are kept.")
    # Four engines on one server of PostgreSQL's default 100 connections leave room for others.
    pool_max_size: int = setting(default=8, minimum=1, help="The most connections at a time.")
    pool_timeout: Seconds = duration(10.0, "How long a call waits for a connection of the pool.")
    pool_max_waiting: int = setting(
        default=0, minimum=0, help="How many calls may wait for a connection; 0: any number."
    )
    pool_max_idle: Seconds = duration(
        600.0, "After how long an unused connection is closed.", minimum=1
    )
    # A server's memory for a connection only grows.
    pool_max_lifetime: Seconds = duration(
        3600.0, "After how long a connection is renewed.", minimum=1
    )
    # `socket` sees for a microsecond that the server has closed the connection; `query` asks the
    # server, for a round trip; `off` trusts it.
    check: Literal["socket", "query", "off"] = setting(
        default="socket", help="How a connection is looked at before it is used."
    )
    # No statement here reads more than a page, a tree or a batch.
    statement_timeout: Seconds | None = duration(
        None, "The longest that a statement may run; 60s by default, 0: no limit."
    )
    lock_timeout: Seconds | None = duration(
        None, "The longest wait for a lock; 10s by default, 0: no limit."
    )
    pgbouncer: bool = setting(
        default=False, help="For PgBouncer's transaction pooling: keep nothing in a session."
    )
    pgvector: bool = setting(
        default=False, help="Make the extension vector at opening, or refuse to open."
    )


@frozen
class Target:
    """Where the database is: the connection string, which shows no password in its repr."""

    conninfo: str = field(repr=False)
    password: str | None = field(repr=False)
    shown: str
    """For messages: host and database, without secrets."""
    endpoint: Endpoint


def read_options(config: DatabaseConfig) -> tuple[Target, PostgresOptions]:
    """The target and the settings of `config`.

    Raises `ConfigurationError` naming the field, what was expected and what was found.
    """
    options = config.settings(PostgresOptions, more_in_url=True)
    _check(options)
    if config.url is not None and options.conn_string is not None:
        raise ConfigurationError("options.conn_string", "expected a URL or this, found both")
    return _target(config.url, options), options


def _check(options: PostgresOptions) -> None:
    if options.pool_min_size > options.pool_max_size:
        raise ConfigurationError(
            "options.pool_min_size",
            f"expected at most pool_max_size, which is {options.pool_max_size}",
        )
    if options.pgbouncer:
        for name in ("statement_timeout", "lock_timeout"):
            if getattr(options, name) is not None:
                raise ConfigurationError(
                    f"options.{name}",
                    "PgBouncer shares a server's sessions among its clients, so it cannot be set "
                    f"here; set it for the role: ALTER ROLE ... SET {name} = ...",
                )


def _target(url: str | None, options: PostgresOptions) -> Target:
    field = "url" if url is not None else "options.conn_string"
    text = _without_own(url) if url is not None else options.conn_string or ""
    if _STRAY_AT.match(text):
        raise ConfigurationError(field, _why_unreadable(text))
    try:
        stated = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        raise ConfigurationError(field, _why_unreadable(text)) from None
    separate = {name: value for name, value in asdict(options).items() if value is not None}
    separate["connect_timeout"] = ceil(options.connect_timeout)
    parameters = {name: separate[name] for name in separate.keys() & _PARAMETERS} | stated
    _check_parameters(parameters)
    if not options.pgbouncer:  # PgBouncer refuses a connection with server settings
        parameters["options"] = _server_settings(options, parameters.get("options"))
    parameters["client_encoding"] = "utf8"
    try:
        conninfo = make_conninfo("", **parameters)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError("options", str(error)) from None
    password = parameters.get("password")
    host = parameters.get("host") or "the default host"
    dbname = parameters.get("dbname") or parameters.get("user") or "of the user's name"
    return Target(
        conninfo,
        None if password is None else str(password),
        f"{host}, database {dbname}",
        _endpoint(parameters, options.schema),
    )


def _endpoint(parameters: Mapping[str, Any], schema: str) -> Endpoint:
    """What is stated of it: of several hosts none, for nobody knows here which one answers."""
    dbname = parameters.get("dbname") or parameters.get("user")
    host, port = str(parameters.get("host") or ""), str(parameters.get("port") or "")
    several = "," in host
    return Endpoint(
        "postgresql",
        schema if dbname is None else f"{dbname}|{schema}",
        None if several else host or None,
        int(port) if port.isdigit() and not several else None,
    )


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    """That libpq would not find out only when it connects, wherever a value was stated."""
    for port in str(parameters.get("port", "")).split(","):
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ConfigurationError("options.port", "expected 1 to 65535, or such for each host")
    for name, choices in (
        ("sslmode", get_args(_SslMode)),
        ("target_session_attrs", get_args(_SessionAttrs)),
    ):
        if parameters.get(name) not in (None, *choices):
            raise ConfigurationError(f"options.{name}", f"expected one of {', '.join(choices)}")
    if not re.fullmatch("[1-9][0-9]{0,4}", str(parameters["connect_timeout"])):
        raise ConfigurationError("options.connect_timeout", f"expected 1 to {DAY}")


def _server_settings(options: PostgresOptions, stated: object) -> str:
    """Settings of the server for each session, those the caller states last: they win."""
    timeouts = {
        "statement_timeout": 60 if options.statement_timeout is None else options.statement_timeout,
        "lock_timeout": 10 if options.lock_timeout is None else options.lock_timeout,
    }
    # Milliseconds; 0 would mean no limit.
    settings = [
        f"-c {name}={max(1, round(seconds * 1000)) if seconds else 0}"
        for name, seconds in timeouts.items()
    ]
    return " ".join([*settings, *([str(stated)] if stated else [])])


def _without_own(url: str) -> str:
    """`url` without the settings that are this driver's alone: libpq would refuse them."""
    address, mark, query = url.partition("?")
    scheme, colon, rest = address.partition(":")
    address = scheme.lower() + colon + rest
    own = fields_dict(PostgresOptions).keys() - _PARAMETERS
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in own]
    return address + mark + "&".join(kept)


def _why_unreadable(text: str) -> str:
    """What is wrong with a URL, or with a connection string, of which nothing is shown.

    libpq's own words may quote a part of a password that should have been quoted itself.
    """
    expected = (
        "expected postgresql://user:password@host:port/dbname?option=value, with %-escapes for "
        "special characters in a password, or key=value pairs; libpq cannot read "
    )
    if not _URL.match(text):
        return f"{expected}what it found"
    query = text.partition("?")[2]
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    if (unknown := sorted(named - _PARAMETERS)) and "@" not in query:
        return f"no parameter of a PostgreSQL URL is called {', '.join(unknown)}"
    return f"{expected}{mask_url(text)}"
