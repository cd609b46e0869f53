"""Histories of concurrent calls, and whether they can be explained.

Programs say what workers do (`programs`); runners do it on a store and record what was asked and
answered when (`runners`, `recorded`, `events`); checkers say what no correct store could have
answered (`registers`, `transactions`, `leases`, `paging`).

The checkers are our own: no maintained linearizability checker for Python exists, and versions
make the question so easy that a search over all orders, as the general ones do, is not needed.
"""

from engine_store_contracts.history.events import Event
from engine_store_contracts.history.leases import check_leases
from engine_store_contracts.history.paging import check_pages
from engine_store_contracts.history.registers import check_registers
from engine_store_contracts.history.runners import run
from engine_store_contracts.history.transactions import check_transactions

__all__ = [
    "Event",
    "check_leases",
    "check_pages",
    "check_registers",
    "check_transactions",
    "run",
]
