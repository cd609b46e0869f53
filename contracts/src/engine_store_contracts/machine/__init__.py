"""A hypothesis state machine that drives a store and the reference side by side."""

import pytest

pytest.register_assert_rewrite("engine_store_contracts.machine")

from engine_store_contracts.machine.contract import MachineCases, StoreMachine  # noqa: E402

__all__ = ["MachineCases", "StoreMachine"]
