"""A PgBouncer with transaction pooling for tests, where Debian's package is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from database_server import unprivileged

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PATIENCE = 20.0
"""Seconds that it may take to start or to stop."""


@contextmanager
def pgbouncer(target: str, port: int, settings: Mapping[str, object]) -> Iterator[str]:
    """Run one before the server of `target`; the folder of its socket.

    `target` is a connection string, `settings` are of the section `[pgbouncer]`.
    """
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="es-bouncer-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o777)  # its user may be another one
        configuration = Path(home, "pgbouncer.ini")
        given = {
            "listen_addr": "",
            "listen_port": port,
            "unix_socket_dir": home,
            "auth_type": "any",
            "user": "",
            "pool_mode": "transaction",
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in given.items()]
        text = ["[databases]", f"* = {target}", "[pgbouncer]", *lines, ""]
        configuration.write_text("\n".join(text))
        command = (PROGRAM, "--quiet", configuration)
        with subprocess.Popen(command, stderr=subprocess.PIPE, **unprivileged()) as process:
            try:
                deadline = time.monotonic() + PATIENCE
                while not Path(home, f".s.PGSQL.{port}").exists():
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    assert time.monotonic() < deadline
                yield home
            finally:
                process.terminate()
                process.wait(PATIENCE)
