"""Which database it is, in the attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from typing import TypeAlias

from engine_store.protocols import AsyncStore, Observable, Store

Attributes: TypeAlias = dict[str, str | int]


def attributes_of(driver: str, store: Store | AsyncStore) -> Attributes:
    """`db.system.name`, and as far as the store tells it `db.namespace` and `server.*`."""
    if not isinstance(store, Observable):
        return {"db.system.name": driver}
    place = store.place
    known = {
        "db.system.name": place.system,
        "db.namespace": place.namespace,
        "server.address": place.address,
        "server.port": place.port,
    }
    return {name: value for name, value in known.items() if value is not None}
