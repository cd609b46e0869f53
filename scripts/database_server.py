"""What servers of databases for tests share: each in a folder, started, stopped, and removed.

As root a server runs as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

PATIENCE = 60.0
"""Seconds a server may take to start or to stop; recovery after a kill is a part of a start."""


class ServerError(Exception):
    """The server could not be made or started; the text is what it said."""


class NotInstalledError(ServerError):
    """There are no programs to start."""


def unprivileged() -> dict[str, Any]:
    """How `subprocess` becomes a user that servers accept; nothing where this one is."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Server(ABC):
    """One server on one data directory, stopped when its `with` block ends."""

    product: ClassVar[str]

    orderly: ClassVar[signal.Signals] = signal.SIGTERM
    """The signal to stop in an orderly way, though there are connections."""

    log_mode: ClassVar[Literal["ab", "wb"]] = "ab"
    """Whether the log of a start follows that of the last one, or takes its place."""

    def __init__(self, home: Path) -> None:
        """A server in the folder `home`, an absolute path."""
        self._home = home
        self._data = home / "data"
        self._as_user = unprivileged()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the data directory if there is none, and start; ready when this returns."""
        if not self._is_made():
            self._make()
        with (self._home / "log").open(self.log_mode) as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                process_group=0,  # Ctrl-C in a terminal is not for the server
                **self._as_user,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready(self._process):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{self.product} did not start:\n{self.log()[-2000:]}")
            time.sleep(0.01)

    def stop(self, how: signal.Signals | None = None) -> None:
        """Stop in an orderly way, or by another signal; ended when this returns."""
        if self._process is not None:
            self._process.send_signal(how or self.orderly)
            self._process.wait(PATIENCE)
            self._process = None

    def log(self) -> str:
        """Return what the server has written."""
        log = self._home / "log"
        return log.read_text("utf-8", errors="replace") if log.exists() else ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C among others; `with` would leave behind what there is
            self._end()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self._end()

    def _make(self) -> None:
        command = self._installer()
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", **self._as_user
        )
        if made.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            name = Path(command[0]).name
            raise ServerError(f"{name} failed:\n{made.stdout}{made.stderr}")

    def _give(self, folder: Path) -> None:
        """Make the user that the server runs as the owner of a folder."""
        if self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])

    @abstractmethod
    def _is_made(self) -> bool:
        """Whether there is a data directory."""

    @abstractmethod
    def _installer(self) -> Sequence[str | Path]:
        """Return the command that makes the data directory."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """Return the command that runs the server."""

    @abstractmethod
    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server takes connections."""

    @abstractmethod
    def _end(self) -> None:
        """Stop, and leave nothing temporary behind."""
