"""A MariaDB server for tests, of the programs that are installed.

They are in Debian's `mariadb-server`. The server listens on a Unix socket alone, and as root it
runs as `nobody`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pymysql

from database_server import NotInstalledError, Server

SERVER = ("mariadbd", "mysqld")
INSTALLER = ("mariadb-install-db", "mysql_install_db")

UNSAFE = {"innodb_flush_log_at_trx_commit": "0", "innodb_flush_method": "nosync"}
"""Settings of a server whose data may be lost in a power cut, as that of tests may."""

SETTINGS = {
    "max_allowed_packet": "128M",  # documents of 20 MB, and each quote in them escaped
    "max_connections": "300",
    "innodb_log_file_size": "256M",
    "innodb_log_buffer_size": "8M",
    "performance_schema": "OFF",
    "skip_log_bin": "1",
}


def find_program(*names: str) -> str:
    """Return the path of the first of these programs that is installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if (found := shutil.which(name, path=path)) is not None:
            return found
    raise NotInstalledError(f"{names[0]} is not installed; it is in Debian's mariadb-server")


def why_missing() -> str | None:
    """Return why no server can be started here; None: one can."""
    try:
        find_program(*SERVER)
        find_program(*INSTALLER)
    except NotInstalledError as error:
        return str(error)
    return None


class MariadbServer(Server):
    """One server on a temporary data directory, stopped when its `with` block ends."""

    product = "MariaDB"
    log_mode = "wb"  # it says there when it is ready

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """Make the folder of a server with further settings. Raises `NotInstalledError`."""
        self._server = find_program(*SERVER)
        self._install = find_program(*INSTALLER)
        self._settings = {**SETTINGS, **(settings or {})}
        # Not below pytest's own folders: those of root are closed to other users.
        super().__init__(Path(tempfile.mkdtemp(prefix="es-mariadb-")))
        self._give(self._home)
        self.socket = str(self._home / "socket")

    def url(self, database: str = "engine", **options: str) -> str:
        """Return the URL of a database of this server."""
        pairs = {"socket": self.socket, **options}
        query = "&".join(f"{name}={value}" for name, value in pairs.items())
        return f"mariadb://root@localhost/{database}?{query}"

    def connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """Return a connection of the administrator."""
        return pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)

    def _is_made(self) -> bool:
        return self._data.exists()

    def _installer(self) -> list[str | Path]:
        return [
            *(self._install, "--no-defaults", f"--datadir={self._data}", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
        ]

    def _command(self) -> list[str | Path]:
        settings = {"datadir": self._data, "socket": self.socket, "tmpdir": self._home}
        options = [f"--{name}={value}" for name, value in {**settings, **self._settings}.items()]
        return [self._server, "--no-defaults", "--skip-networking", *options]

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        return "ready for connections" in self.log()

    def _end(self) -> None:
        self.stop(signal.SIGKILL)  # the data directory goes, so nothing has to be written
        shutil.rmtree(self._home, ignore_errors=True)
