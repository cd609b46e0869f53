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
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql

from postgres_server import PATIENCE, NotInstalledError, ServerError, unprivileged

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


class MariadbServer:
    """One server on a temporary data directory, stopped when its `with` block ends."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """Make the folder of a server with further settings. Raises `NotInstalledError`."""
        self._server = find_program(*SERVER)
        self._install = find_program(*INSTALLER)
        self._settings = {**SETTINGS, **(settings or {})}
        self._as_user = unprivileged()
        # Not below pytest's own folders: those of root are closed to other users.
        self._home = Path(tempfile.mkdtemp(prefix="es-mariadb-"))
        if self._as_user:
            os.chown(self._home, self._as_user["user"], self._as_user["group"])
        self._data = self._home / "data"
        self.socket = str(self._home / "socket")
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "engine", **options: str) -> str:
        """Return the URL of a database of this server."""
        pairs = {"socket": self.socket, **options}
        query = "&".join(f"{name}={value}" for name, value in pairs.items())
        return f"mariadb://root@localhost/{database}?{query}"

    def connect(self) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """Return a connection of the administrator."""
        return pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)

    def start(self) -> None:
        """Make the data directory if there is none, and start; ready when this returns."""
        if not self._data.exists():
            self._initialise()
        settings = {"datadir": self._data, "socket": self.socket, "tmpdir": self._home}
        options = [f"--{name}={value}" for name, value in {**settings, **self._settings}.items()]
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._server, "--no-defaults", "--skip-networking", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                process_group=0,  # Ctrl-C in a terminal is not for the server
                **self._as_user,
            )
        deadline = time.monotonic() + PATIENCE
        while "ready for connections" not in self.log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"MariaDB did not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop in an orderly way, or with SIGKILL; ended when this returns."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def log(self) -> str:
        """Return what the server has written since its start."""
        log = self._home / "log"
        return log.read_text("utf-8", errors="replace") if log.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C among others; `with` would leave behind what there is
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.stop(signal.SIGKILL)  # the data directory goes, so nothing has to be written
        shutil.rmtree(self._home, ignore_errors=True)

    def _initialise(self) -> None:
        made = subprocess.run(
            [
                *(self._install, "--no-defaults", f"--datadir={self._data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._as_user,
        )
        if made.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ServerError(f"mariadb-install-db failed:\n{made.stdout}{made.stderr}")
