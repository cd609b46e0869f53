"""The driver's settings, and the connection string made of a URL or of separate fields."""

from __future__ import annotations

import os
import re
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

import psycopg
from attrs import Attribute, asdict, field, fields_dict, frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from engine_store.config import (
    DatabaseConfig,
    Seconds,
    ServerOptions,
    Text,
    duration,
    setting,
    structure,
    text,
    without_nul,
)
from engine_store.errors import ConfigurationError
from engine_store.protocols import Endpoint
from engine_store.secrecy import Hidden, hidden, secret_text
from engine_store.urls import mask_url

_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_URL = re.compile("postgres(?:ql)?://")
_STRAY_AT = re.compile(r"(?s)postgres(?:ql)?://(?:[^@/]*@)?+[^?]*@")
"""A URL with an @ that libpq would take for a part of a host's or a database's name. It is the end
of a password with special characters that are not escaped."""

_SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
_SessionAttrs = Literal["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]

_PARAMETERS = {option.keyword.decode() for option in Conninfo.get_defaults()}
"""The parameters that libpq knows by name."""


def _plain_name(made: object, field: Attribute[Any], value: str) -> None:
    if not _SCHEMA.fullmatch(value):
        raise ConfigurationError(
            field.name,
            "expected a name of small letters, digits and _, at most 63 characters, that does not "
            f"begin with a digit or pg_, found {mask_url(value)!r}",
        )


def _port(made: object, field: Attribute[Any], value: str | None) -> None:
    for port in (value or "").split(","):
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ConfigurationError(field.name, "expected 1 to 65535, or such for each host")


@frozen
class Address(ServerOptions):
    """The settings that a URL may state too, and libpq would check only when it connects."""

    port: Text | None = setting(
        default=None, validator=_port, help="Its port, or one for each host."
    )
    dbname: str | None = text(None, "The database.", also="name")
    sslmode: _SslMode | None = setting(
        default=None, also="ssl_mode", help="Whether the connection is encrypted and verified."
    )
    target_session_attrs: _SessionAttrs | None = setting(
        default=None, help="Which of several hosts, separated by commas, will do."
    )
    application_name: str = text("engine-store", "What the server shows of the connections.")


@frozen
class PostgresOptions(Address):
    """Settings of the PostgreSQL driver, from the URL's query or the configuration's `options`.

    A URL or `conn_string` wins over the separate fields; several hosts are separated by commas.
    Times are seconds; libpq counts whole ones, so `connect_timeout` is rounded up.
    """

    conn_string: str | None = setting(
        default=None,
        converter=secret_text,
        repr=False,
        validator=without_nul,
        replaces=["url", "host", "port", "user", "password", "dbname"],
        help="A URL or a connection string of libpq, in one text.",
    )
    # A schema of its own: an application has a table `users` in `public` already.
    schema: str = setting(
        default="engine_store", validator=_plain_name, help="The schema of the tables."
    )
    # One is kept, so that the first call after a quiet hour need not connect.
    pool_min_size: int = setting(default=1, minimum=0, help="Connections that are kept.")
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
    read_only: bool = setting(
        default=False,
        help="Open to be read only, also on a standby: writes are refused, steps are not applied.",
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
    wants_primary: bool = False
    """True if only a server that can be written is connected to."""


def read_options(config: DatabaseConfig) -> tuple[Target, PostgresOptions]:
    """The target and the settings of `config`.

    Raises `ConfigurationError` naming the field, what was expected and what was found.
    """
    options = config.settings(PostgresOptions, more_in_url=True)
    if options.pool_min_size > options.pool_max_size:
        raise ConfigurationError(
            "options.pool_min_size",
            f"expected at most pool_max_size, which is {options.pool_max_size}",
        )
    if config.url is not None and options.conn_string is not None:
        raise ConfigurationError("options.conn_string", "expected a URL or this, found both")
    return _target(config.url, options, history=config.history), options


def _target(url: str | None, options: PostgresOptions, *, history: bool) -> Target:
    field = "url" if url is not None else "options.conn_string"
    found = Hidden(_without_own(url) if url is not None else options.conn_string or "")
    conninfo = _parameters(found)
    if conninfo is None:  # libpq's own error, which has the password, is not its context
        raise ConfigurationError(field, _why_unreadable(found))
    separate = {name: value for name, value in asdict(options).items() if value is not None}
    parameters = {name: separate[name] for name in separate.keys() & _PARAMETERS} | conninfo
    checked = {name: parameters[name] for name in parameters.keys() & fields_dict(Address).keys()}
    address = structure(checked, Address)
    if not _is_host(address.host or ""):
        raise ConfigurationError(field, "expected the name of a host, or several, found none")
    parameters["connect_timeout"] = ceil(address.connect_timeout)
    own = parameters.get("options") or _outside_options(parameters.get("service"))
    parameters["options"] = _server_settings(options, own, history=history)
    parameters["client_encoding"] = "utf8"
    host = address.host or "the default host"
    dbname = address.dbname or address.user or "of the user's name"
    return Target(
        Hidden(make_conninfo("", **parameters)),
        hidden(address.password),
        f"{host}, database {dbname}",
        _endpoint(address, options.schema),
        parameters.get("target_session_attrs", _environment().get("target_session_attrs"))
        in ("read-write", "primary"),
    )


def _parameters(text: str) -> dict[str, Any] | None:
    """Return the parameters of a URL or a connection string, or None if it cannot be read."""
    if _STRAY_AT.match(text):
        return None
    try:
        found = conninfo_to_dict(text)
    except (psycopg.ProgrammingError, UnicodeError):  # a %-escape may be no UTF-8, too
        return None
    return {name: hidden(value) if "pass" in name else value for name, value in found.items()}


def _is_host(hosts: str) -> bool:
    """Return whether every host is a path or a name that can be looked up, as `socket` does."""
    try:
        for host in hosts.split(","):
            if not host.startswith("/"):
                host.encode("idna")
    except UnicodeError:
        return False
    return True


def _endpoint(address: Address, schema: str) -> Endpoint:
    """Return what is known of it: of several hosts none, as any of them may answer."""
    dbname, host, port = address.dbname or address.user, address.host, address.port
    namespace = f"{dbname}|{schema}" if dbname else schema
    if host and "," in host:
        return Endpoint("postgresql", namespace)
    single = int(port) if port and "," not in port else None
    return Endpoint("postgresql", namespace, host or None, single)


def _server_settings(options: PostgresOptions, own: str | None, *, history: bool) -> str | None:
    """Return the server's settings for each session. `own`, the caller's, come last: they win.

    PgBouncer refuses a connection with any.
    """
    settings = []
    for name, default in (("statement_timeout", 60.0), ("lock_timeout", 10.0)):
        given: float | None = getattr(options, name)
        if options.pgbouncer and given is not None:
            raise ConfigurationError(
                f"options.{name}",
                "PgBouncer shares a server's sessions among its clients, so it cannot be set "
                f"here; set it for the role: ALTER ROLE ... SET {name} = ...",
            )
        seconds = default if given is None else given
        # Milliseconds; 0 would mean no limit.
        settings.append(f"-c {name}={max(1, round(seconds * 1000)) if seconds else 0}")
    if options.pgbouncer and history:
        raise ConfigurationError(
            "history",
            "PgBouncer shares a server's sessions among its clients, so it cannot be set here; set "
            "it for the role: ALTER ROLE ... SET engine_store.history = 'on'",
        )
    if history:
        settings.append("-c engine_store.history=on")
    if options.read_only:
        settings.append("-c default_transaction_read_only=on")
    return own if options.pgbouncer else " ".join([*settings, own or ""]).rstrip()


def _environment() -> dict[str, str]:
    """Return what libpq takes from environment variables, by the names of its parameters."""
    return {
        found.keyword.decode(): found.val.decode() for found in Conninfo.get_defaults() if found.val
    }


def _outside_options(service: str | None) -> str | None:
    """Return the `options` of the service file, or of `PGOPTIONS`, as libpq finds them.

    It would not look there, as the driver gives options of its own.
    """
    environment = _environment()
    service = service or environment.get("service")
    return (service and _of_service(service)) or environment.get("options")


def _of_service(service: str) -> str | None:
    """Return the `options` of a service, from the first file that has any."""
    folders = (os.environ.get("PGSYSCONFDIR"), "/etc/postgresql-common")
    # Not by Path.home, which raises for a user who has none.
    own = os.environ.get("PGSERVICEFILE") or os.path.expanduser("~/.pg_service.conf")  # noqa: PTH111
    files = [Path(own), *(Path(folder, "pg_service.conf") for folder in folders if folder)]
    for file in files:
        services = ConfigParser(interpolation=None, strict=False)
        with suppress(OSError, ConfigParserError, UnicodeDecodeError):  # libpq reports it
            services.read(file, encoding="utf-8")
            if found := services.get(service, "options", fallback=None):
                return found
    return None


def _without_own(url: str) -> str:
    """`url` without the settings that are this driver's alone: libpq would refuse them."""
    address, mark, query = url.partition("?")
    scheme, colon, rest = address.partition(":")
    own = fields_dict(PostgresOptions).keys() - _PARAMETERS
    kept = [pair for pair in query.split("&") if pair.partition("=")[0] not in own]
    return scheme.lower() + colon + rest + mark + "&".join(kept)


def _why_unreadable(found: str) -> str:
    """What is wrong with a URL, or with a connection string, of which nothing is shown.

    libpq's own words may quote a part of a password that should have been quoted itself.
    """
    expected = (
        "expected postgresql://user:password@host:port/dbname?option=value, with %-escapes for "
        "special characters in a password, or key=value pairs; libpq cannot read "
    )
    if not _URL.match(found):
        return f"{expected}what it found"
    query = found.partition("?")[2]
    named = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    if (unknown := sorted(named - _PARAMETERS)) and "@" not in query:
        return f"no parameter of a PostgreSQL URL is called {', '.join(unknown)}"
    return f"{expected}{mask_url(found)}"
