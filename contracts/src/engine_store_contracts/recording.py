"""What a case says of itself and of its driver, on its way into the report.

It travels in the `user_properties` of pytest's reports, also from the workers of xdist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the plugin imports this module, and nothing of engine_store
    from engine_store.protocols import Capability, Store

CASE = "engine_store_case"
CAPABILITIES = "engine_store_capabilities"
SERVER = "engine_store_server"
UNSUPPORTED = "engine_store_unsupported"
OPERATIONS = "engine_store_operations"
SCRIPT = "engine_store_script"

COLLECTED = pytest.StashKey[list[dict[str, Any]]]()
"""Every case that was found, whether it runs or not."""

_failed = pytest.StashKey[bool]()

_noted = pytest.StashKey[set[tuple[str, str]]]()


def note_failure(item: pytest.Item) -> None:
    """Note that a phase of the case has failed."""
    item.stash[_failed] = True


def has_failed(item: pytest.Item) -> bool:
    """Return whether a phase of the case has failed so far."""
    return item.stash.get(_failed, False)


def note_case(item: pytest.Item) -> None:
    """That there is the case, and which clauses it proves."""
    assert item.parent is not None
    collected = item.config.stash.setdefault(COLLECTED, [])
    case = {
        "subject": item.parent.nodeid,
        "place": len(collected),
        "id": item.name,
        "clauses": [number for mark in item.iter_markers("clause") for number in mark.args],
    }
    item.user_properties.append((CASE, case))
    collected.append(case)


def note_capabilities(item: pytest.Item, declared: Mapping[str, Capability]) -> None:
    """What the driver declares, once for each class."""
    if _is_first(item, CAPABILITIES):
        facts = {entry.name: [entry.supported, entry.reason] for entry in declared.values()}
        item.user_properties.append((CAPABILITIES, facts))


def note_server(item: pytest.Item, store: Store) -> None:
    """Which driver and which server it is, once for each class."""
    if not _is_first(item, SERVER):
        return
    try:
        health = store.health()
    except Exception:  # noqa: BLE001 - the cases of 9.4 say what is wrong with it
        return
    from engine_store.drivers.discovery import driver_distribution

    _, version = driver_distribution(health.driver)
    server = [value for name, value in health.details.items() if name.endswith("_version")]
    facts = {
        "driver": health.driver,
        "driver_version": version,
        "server_version": str(server[0]) if server else None,
        "schema_version": health.schema_version,
    }
    item.user_properties.append((SERVER, facts))


def leave_out(item: pytest.Item, capability: Capability) -> None:
    """Skip the case: the only way there is. Fails where no reason is given (contract 9.5)."""
    if not capability.reason.strip():
        pytest.fail(without_a_reason(capability))
    item.user_properties.append((UNSUPPORTED, [capability.name, capability.reason]))
    pytest.skip(f"{capability.name}: {capability.reason}")


def without_a_reason(capability: Capability) -> str:
    """What is said of a capability that is unsupported, and does not say why."""
    return f"`{capability.name}` is unsupported but has no reason (9.5)"


def note_operations(item: pytest.Item, number: int) -> None:
    """How many calls a case has made and compared."""
    item.user_properties.append((OPERATIONS, number))


def note_script(item: pytest.Item, script: str) -> None:
    """A script that reproduces the failure of a case."""
    item.user_properties.append((SCRIPT, script))


def _is_first(item: pytest.Item, fact: str) -> bool:
    """Whether this process has not noted the fact for the class of the case yet."""
    assert item.parent is not None
    noted = item.config.stash.setdefault(_noted, set())
    key = (item.parent.nodeid, fact)
    if key in noted:
        return False
    noted.add(key)
    return True
