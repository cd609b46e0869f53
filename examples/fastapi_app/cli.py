"""The command: makes the first admin if there is none, and serves until it is stopped."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

import uvicorn

import engine_store
from engine_store import Config, EngineStoreError, keys
from engine_store.errors import (
    AlreadyBootstrappedError,
    ConfigurationError,
    MigrationLockError,
    UnavailableError,
)
from fastapi_app.app import configuration, create_app

HOST = "127.0.0.1"
ADMIN = "admin@example.org"

GRACE = 3
"""Seconds for the requests under way when the service is stopped. Streams of events end by then."""

USAGE, UNAVAILABLE = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; return the exit code. What went wrong is a line on standard error."""
    port: int = _parser().parse_args(arguments).port
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return fail(f"port {port}: {reason}; name another one with --port", USAGE)
    with listening:
        try:
            config = configuration()
            bootstrap(config)
        except EngineStoreError as error:
            gone = isinstance(error, UnavailableError | MigrationLockError)
            return fail(explained(error), UNAVAILABLE if gone else USAGE)
        serve(config, listening)
    return 0


def bootstrap(config: Config) -> None:
    """Make the first admin and print its key, if the store has none yet."""
    with engine_store.start(config) as store:
        try:
            admin, _, secret = keys.bootstrap(store, ADMIN)
        except AlreadyBootstrappedError:
            return
    print(f"The first admin is {admin.email}. Its API key is shown this once:")
    print(secret.reveal())


def serve(config: Config, listening: socket.socket) -> None:
    """Answer what comes to `listening` until Ctrl-C or SIGTERM; the store is closed then.

    Afterwards the signal goes on as if it had not been caught: Ctrl-C is a `KeyboardInterrupt`.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            lifespan="on",
            log_level="warning",
            timeout_graceful_shutdown=GRACE,
        )
    )
    address, port = listening.getsockname()
    # It is true already: whoever connects now waits until the store is open.
    print(f"Serving on http://{address}:{port} (Ctrl-C stops it)", flush=True)
    server.run(sockets=[listening])


def explained(error: EngineStoreError) -> str:
    """Return the error, a line for each mistake of a configuration."""
    problems = error.problems if isinstance(error, ConfigurationError) else ()
    return "\n".join(map(str, problems or [error]))


def fail(message: str, code: int) -> int:
    """Print `message` on standard error; return `code`."""
    for line in message.splitlines():
        print(f"fastapi_app: {line}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "fastapi_app",
        description="Serve workflows on the store that ENGINE_STORE_DATABASE_URL names, by default "
        "a SQLite file in this folder.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="where to listen (default: 8000; 0: any free one)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port, 0 to 65535")
    return int(text)
