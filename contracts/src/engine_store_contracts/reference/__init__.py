"""The contract as a plain-Python store: small, obviously right, in memory."""

from engine_store_contracts.reference.store import ReferenceStore, ReferenceTransaction

__all__ = ["ReferenceStore", "ReferenceTransaction"]
