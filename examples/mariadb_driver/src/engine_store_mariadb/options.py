"""The driver's settings, from a URL such as `mariadb://user:password@host/database`."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from engine_store.config import (
    DAY,
    DatabaseConfig,
    Seconds,
    duration,
    setting,
    structure,
)
from engine_store.errors import ConfigurationError
from engine_store.protocols import Endpoint
from engine_store.urls import mask_url, parse_url

_DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,63}")


@frozen
class MariadbOptions:
    """Settings of the MariaDB driver. Those given by name win over what a URL says."""

    host: str = setting(default="localhost", help="The server.")
    port: int = setting(default=3306, minimum=1, maximum=65535, help="Its port.")
    socket: str | None = setting(default=None, help="Its Unix socket, instead of host and port.")
    user: str | None = setting(default=None, help="The user; by default that of the process.")
    password: str = setting(default="", repr=False, help="The password of the user.")
    database: str = setting(default="", help="The database; made if it is missing.")
    ssl_ca: str | None = setting(
        default=None, help="The certificates that the server's has to be signed by."
    )
    connect_timeout: Seconds = duration(10.0, "How long to wait for a connection.", minimum=1)
    read_timeout: Seconds = duration(
        60.0, "How long to wait for an answer before the connection counts as lost.", minimum=1
    )
    lock_timeout: int = setting(
        default=10, minimum=1, maximum=DAY, help="The longest wait for a row's lock."
    )
    pool_size: int = setting(default=8, minimum=1, help="The most connections at a time.")
    pool_timeout: Seconds = duration(10.0, "How long a call waits for a connection.")

    @property
    def endpoint(self) -> Endpoint:
        """The database, for reports."""
        if self.socket is not None:
            return Endpoint("mariadb", self.database, self.socket)
        return Endpoint("mariadb", self.database, self.host, self.port)

    def __str__(self) -> str:
        server = self.socket or f"{self.host}:{self.port}"
        return f"{server}, database {self.database}"


def read_options(config: DatabaseConfig) -> MariadbOptions:
    """Return the settings of `config`. Raises `ConfigurationError` that names the field."""
    settings: dict[str, Any] = {}
    if config.url is not None:
        url = parse_url(config.url)
        settings = {
            "host": url.host,
            "port": url.port,
            "user": url.user,
            "password": url.password,
            "database": url.path[1:],
        }
    given = {name: value for name, value in settings.items() if value}
    options = structure({**given, **config.driver_options()}, MariadbOptions)
    if not _DATABASE.fullmatch(options.database):
        raise ConfigurationError(
            "options.database",
            "expected a name of small letters, digits and _, at most 64 characters, as in "
            f"mariadb://user@host/name, found {mask_url(options.database)!r}",
        )
    return options
