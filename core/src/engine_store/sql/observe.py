"""Telling listeners what operations do, at one place. Without listeners there is no observer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import frozen
from pluggy import HookRelay

from engine_store.errors import VersionConflictError

T = TypeVar("T")


@frozen
class Observer:
    """Calls the hooks of operations, for stores of `driver`."""

    hooks: HookRelay
    driver: str

    @contextmanager
    def operation(self, name: str) -> Iterator[None]:
        """Around a whole operation, with its waits and retries."""
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.hooks.engine_store_operation_finished(
                driver=self.driver,
                operation=name,
                seconds=time.perf_counter() - started,
                error=error,
            )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Around one attempt: a lost compare-and-set is told also where it is tried again."""
        try:
            yield
        except VersionConflictError as conflict:
            self.hooks.engine_store_conflict(driver=self.driver, operation=name, conflict=conflict)
            raise

    def retried(self, name: str) -> None:
        """Before the wait that precedes another attempt."""
        self.hooks.engine_store_retried(driver=self.driver, operation=name)

    def heard_sleep(self, name: str, sleep: Callable[[float], T]) -> Callable[[float], T]:
        """`sleep` for the pauses of a procedure: each is one before another attempt."""

        def heard(seconds: float) -> T:
            self.retried(name)
            return sleep(seconds)

        return heard


def observer(hooks: HookRelay, driver: str) -> Observer | None:
    """An observer where somebody listens to operations, else None: nothing is paid for it."""
    listened = (
        hooks.engine_store_operation_finished,
        hooks.engine_store_conflict,
        hooks.engine_store_retried,
    )
    return Observer(hooks, driver) if any(hook.get_hookimpls() for hook in listened) else None
