"""A hypothesis state machine that drives a store and the reference side by side."""

from engine_store_contracts.machine.base import Subject
from engine_store_contracts.machine.contract import (
    MachineCases,
    StoreMachine,
    run_machine,
)

__all__ = ["MachineCases", "StoreMachine", "Subject", "run_machine"]
