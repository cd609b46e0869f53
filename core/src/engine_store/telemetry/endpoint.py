"""The endpoint of a store, in the attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from typing import TypeAlias

from engine_store.protocols import AsyncStore, Observable, Store

Attributes: TypeAlias = dict[str, str | int]


def attributes_of(driver: str, store: Store | AsyncStore) -> Attributes:
    """Return `db.system.name` and, if the store has an endpoint, `db.namespace` and `server.*`."""
    if not isinstance(store, Observable):
        return {"db.system.name": driver}
    endpoint = store.endpoint
    known = {
        "db.system.name": endpoint.system,
        "db.namespace": endpoint.namespace,
        "server.address": endpoint.address,
        "server.port": endpoint.port,
    }
    return {name: value for name, value in known.items() if value is not None}
