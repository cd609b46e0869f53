"""A hypothesis state machine that drives a store and the reference side by side."""

import pytest

pytest.register_assert_rewrite("engine_store_contracts.machine")

from engine_store_contracts.machine.base import Subject  # noqa: E402
from engine_store_contracts.machine.contract import (  # noqa: E402
    MachineCases,
    StoreMachine,
    run_machine,
)

__all__ = ["MachineCases", "StoreMachine", "Subject", "run_machine"]
