"""The parent's side of a worker: start it, read its events, kill it or let it end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from quickstart.events import Event, Kind
from quickstart.worker import STORE_VARIABLE

PATIENCE = 10.0
"""Seconds a worker may take to end the task in hand before it is killed."""

LEASE = 2.0
"""Seconds that a worker has a task for: short, so that what a killed one leaves is soon free."""


class WorkerFailedError(Exception):
    """A worker ended without being asked to. `exit_code` is for the parent to end with."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class WorkerProcess:
    """A worker process, and the events that it acknowledged its commits with.

    A context manager: on leaving it the worker is asked to stop, waited for, and if need be
    killed. A dead worker needs no tidying up: the lease of the task that it had will expire.
    """

    def __init__(
        self, url: str, workflow_exec_id: str, name: str, hold_after: int | None = None
    ) -> None:
        self.name = name
        self.events: list[Event] = []
        self.killed = False
        self._process = subprocess.Popen(
            _command(workflow_exec_id, name, hold_after),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=_environment(url),
            process_group=0,  # Ctrl-C in the terminal is for the parent alone
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    def listen(self) -> Iterator[Event]:
        """Yield every event as it comes, to the worker's end.

        A last line cut short by the worker's death is no acknowledgement.
        Raises `WorkerFailedError` if the worker ends by itself with a failure.
        """
        for line in self._stdout:
            if not line.endswith("\n"):
                break
            event = Event.parse(line)
            if event.kind is Kind.FAILED:
                raise WorkerFailedError(f"{self.name}: {event.reason}", event.exit_code)
            self.events.append(event)
            yield event
        if (code := self._process.wait()) and not self.killed:
            raise WorkerFailedError(f"{self.name} ended with exit code {code}", 1)

    def kill(self) -> None:
        """Send SIGKILL; the worker is dead when this returns."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stdin.close()  # the worker takes this as the request to stop
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:  # a second Ctrl-C comes this way too
            self._process.kill()
            self._process.wait()
            self._stdout.close()


def _command(workflow_exec_id: str, name: str, hold_after: int | None) -> Sequence[str]:
    command = [sys.executable, "-m", "quickstart.worker", f"--workflow={workflow_exec_id}"]
    command += [f"--name={name}", f"--lease={LEASE}"]
    if hold_after is not None:
        command.append(f"--hold-after={hold_after}")
    return command


def _environment(url: str) -> dict[str, str]:
    """Return the parent's, with this package on the path, and the URL: arguments show in `ps`."""
    package_root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, [package_root, known]))
    return {**os.environ, "PYTHONPATH": path, STORE_VARIABLE: url}
