"""Mutants of what is stored, which the process that wrote it does not see: it has a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from engine_store.rules.entities import API_KEY, TASK, WORKFLOW, Entity
from engine_store_broken.mutant import elsewhere, mutant, replace, replace_elsewhere
from engine_store_broken.values import each_scalar


def decoded_elsewhere(entity: Entity[Any, Any]) -> Callable[[Callable[[Any], Any]], None]:
    """Change what the SQL kit reads of an entity, in other processes than the first one."""
    elsewhere()

    def put(change: Callable[[Any], Any]) -> None:
        @replace("engine_store.sql.rows:Rows.decoder")
        def decoder(original: Any, rows: Any, wanted: Any) -> Any:
            decode = original(rows, wanted)
            if wanted is not entity:
                return decode
            return lambda row: change(decode(row)) if elsewhere() else decode(row)

    return put


@mutant("1.2", base="sqlite")
def empty_document_is_none_elsewhere() -> None:
    """An empty document is written as null."""

    @replace_elsewhere("engine_store.sql.rows:_loads")
    def loads(original: Any, text: str) -> Any:
        return original(text) or None


@mutant("1.3", base="sqlite")
def negative_zero_has_no_sign_elsewhere() -> None:
    """Numbers are normalised on their way to the disk."""

    @replace_elsewhere("engine_store.sql.rows:_loads")
    def loads(original: Any, text: str) -> Any:
        return each_scalar(original(text), lambda v: v + 0.0 if type(v) is float else v)


@mutant("1.5", base="sqlite")
def times_have_no_microseconds_elsewhere() -> None:
    """Times are written in milliseconds."""

    @decoded_elsewhere(WORKFLOW)
    def decoded(state: Any) -> Any:
        cut = state.updated_at.microsecond // 1000 * 1000
        return attrs.evolve(state, updated_at=state.updated_at.replace(microsecond=cut))


@mutant("2.1", base="sqlite")
def versions_begin_again_elsewhere() -> None:
    """Versions are counted in memory, and are not written."""

    @decoded_elsewhere(TASK)
    def decoded(state: Any) -> Any:
        return attrs.evolve(state, version=1)


@mutant("4.4", base="sqlite")
def hashes_are_reversed_elsewhere() -> None:
    """Bytes are written as a number, and read with the other end first."""

    @decoded_elsewhere(API_KEY)
    def decoded(key: Any) -> Any:
        return attrs.evolve(key, hash=key.hash[::-1], fingerprint=key.fingerprint[::-1])
