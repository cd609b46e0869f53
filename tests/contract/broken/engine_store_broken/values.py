"""Mutants of section 1: values, their checks and their order."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs

from engine_store.errors import InvalidValueError
from engine_store_broken.mutant import mutant, replace, rewrite, rewrite_step
from engine_store_memory.rows import ordered, where
from engine_store_sqlite import driver


def each_scalar(value: Any, change: Callable[[Any], Any]) -> Any:
    """A document with its numbers, texts and so on changed."""
    if isinstance(value, dict):
        return {key: each_scalar(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [each_scalar(item, change) for item in value]
    return change(value)


def change_codec(**changes: Any) -> None:
    """Let the SQLite driver pass and receive values otherwise."""
    codec = attrs.evolve(driver.DIALECT.codec, **changes)
    driver.DIALECT = attrs.evolve(driver.DIALECT, codec=codec)


@mutant("1.1", base="sqlite")
def ids_without_case() -> None:
    """Ids are compared without regard to case, the default collation of some databases."""
    rewrite_step(1, "user_id TEXT NOT NULL PRIMARY", "user_id TEXT COLLATE NOCASE NOT NULL PRIMARY")


@mutant("1.1", base="memory")
def ids_looked_up_unchecked() -> None:
    """Only writes check their ids: a read with a bad one says that nothing is there."""

    @replace("engine_store_memory.repository:Repository._get")
    def get(original: Any, repository: Any, key: str) -> Any:
        try:
            return original(repository, key)
        except ValueError:
            raise repository.entity.not_found(key) from None


@mutant("1.2", base="sqlite")
def empty_document_becomes_none() -> None:
    """`if document:` where `if document is not None:` was meant."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        return original(document or None)


@mutant("1.2", base="memory")
def absent_document_becomes_empty() -> None:
    """A column that is NOT NULL DEFAULT '{}': what was absent comes back empty."""

    @replace("engine_store_memory.repository:Repository._put")
    def put(original: Any, repository: Any, data: Any, row: Any) -> Any:
        absent = {"output": {}} if getattr(row, "output", row) is None else {}
        return original(repository, data, attrs.evolve(row, **absent))


@mutant("1.3", base="sqlite")
def large_floats_become_ints() -> None:
    """Documents are kept as `numeric`, as jsonb does: 1e17 comes back as an integer."""

    @replace("engine_store.sql.rows:_loads")
    def loads(original: Any, text: str) -> Any:
        def number(text: str) -> int | float:
            value = float(text)
            return int(value) if "e" in text and value.is_integer() else value

        return json.loads(text, parse_float=number)


@mutant("1.3", base="sqlite")
def negative_zero_loses_its_sign() -> None:
    """Numbers are normalised: -0.0 comes back as 0.0."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        return original(each_scalar(document, lambda v: v + 0.0 if type(v) is float else v))


@mutant("1.3", base="sqlite")
def bools_become_ints() -> None:
    """A database without booleans: True comes back as 1."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        return original(each_scalar(document, lambda v: int(v) if type(v) is bool else v))


@mutant("1.3", base="sqlite")
def text_is_normalised() -> None:
    """Text is brought into Unicode's form NFC on its way in."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        text = original(document)
        return text and unicodedata.normalize("NFC", text)


@mutant("1.3", base="memory")
def stored_is_what_was_given() -> None:
    """The caller's object itself is stored: a later change to it changes the store."""

    @replace("engine_store_memory.repository:Repository._checked")
    def checked(original: Any, repository: Any, row: Any, **restored: Any) -> Any:
        original(repository, row, **restored)
        return row


@mutant("1.8", base="memory")
def returned_is_what_is_stored() -> None:
    """A write returns the object that it has stored: a caller's change to it changes the store."""

    @replace("engine_store_memory.repository:Repository._put")
    def put(original: Any, repository: Any, data: Any, row: Any) -> Any:
        original(repository, data, row)
        return row


@mutant("1.8", base="sqlite")
def checked_and_then_encoded() -> None:
    """The caller's object is checked, and then encoded: a thread may change it in between."""

    @replace("engine_store.rules.entities:Entity.check")
    def check(original: Any, entity: Any, row: Any) -> Any:
        original(entity, row)
        return row


@mutant("1.8", base="memory")
def arguments_wait_for_a_thread() -> None:
    """A call that waits for a thread checks and copies there: its caller has gone on by then."""

    @replace("engine_store.concurrency.threads:check_arguments")
    def arguments(original: Any, args: Any, kwargs: Any) -> Any:
        return args, kwargs


@mutant("1.5", base="memory")
def times_of_any_class() -> None:
    """A time is kept as it was given, of whichever class."""

    @replace("engine_store.values:plain_time")
    def plain(original: Any, value: datetime) -> datetime:
        return value


@mutant("1.4", base="sqlite")
def integers_of_any_class() -> None:
    """`isinstance` where the exact type was meant: True, and 1 of an enumeration, are integers."""

    @replace("engine_store.values:_check_scalar")
    def check(original: Any, value: Any, sign: str, step: Any) -> None:
        if not isinstance(value, int):
            original(value, sign, step)


@mutant("1.3", base="memory")
def lists_are_what_is_stored() -> None:
    """A list hands out the stored objects: a caller's change to one changes the store."""

    @replace("engine_store_memory.tasks:Tasks._where")
    def found(original: Any, tasks: Any, **fields: Any) -> Any:
        rows = where(tasks._scope.read()[tasks.entity].values(), **fields)
        return tuple(ordered(tasks.entity, rows))


@mutant("1.4", base="memory")
def upsert_unchecked() -> None:
    """Of the three ways to write, one was forgotten when the checks were added."""

    @replace("engine_store_memory.repository:Versioned._upsert")
    def upsert(original: Any, repository: Any, state: Any) -> Any:
        with repository._scope.write() as data:
            before = data[repository.entity].get(repository.entity.key(state))
            if before is None:
                return repository._insert(data, state)
            repository.entity.check_immutable(before, state)
            return repository._replace(data, before, state)


@mutant("1.5", base="sqlite")
def times_come_back_naive() -> None:
    """The offset is lost on the way, and nobody knows any more that a time is UTC."""

    @replace("engine_store.sql.rows:Rows.decoder")
    def decoder(original: Any, rows: Any, entity: Any) -> Any:
        decode = original(rows, entity)

        def naive(row: Any) -> Any:
            made = decode(row)
            return attrs.evolve(made, created_at=made.created_at.replace(tzinfo=None))

        return naive


@mutant("1.5", base="sqlite")
def times_in_milliseconds() -> None:
    """A column type, or a format, that cuts times to milliseconds."""
    write_time = driver.DIALECT.codec.write_time
    change_codec(
        write_time=lambda time: write_time(
            time.replace(microsecond=time.microsecond // 1000 * 1000)
        )
    )


@mutant("1.5", base="sqlite")
def updated_at_goes_back() -> None:
    """The time of a write is that of the clock, also where a clock was set back."""
    rewrite("set_workflow_status", "max(updated_at, :now)", ":now")


@mutant("1.5", base="sqlite")
def update_renews_created_at() -> None:
    """An update writes every column of the row anew, also when it was created."""
    rewrite(
        "update_workflow", "version = version + 1,", "version = version + 1, created_at = :now,"
    )


@mutant("1.7", base="sqlite")
def documents_of_a_packet() -> None:
    """A document is refused that is larger than a packet, 16 MB unless the server says else."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        text = original(document)
        if text is not None and len(text.encode()) > 1 << 24:
            raise InvalidValueError("input", "larger than a packet")
        return text


@mutant("1.7", base="sqlite")
def documents_without_a_limit() -> None:
    """The database is left to take what is too large, or to break the connection."""

    @replace("engine_store.sql.operations.base:check_size")
    def check(original: Any, size: int, path: str, maximum: int) -> None:
        pass


@mutant("1.7", base="sqlite")
def documents_are_cut() -> None:
    """The longest text of a document is cut, as columns of a fixed size do it."""

    @replace("engine_store.sql.rows:write_document")
    def write_document(original: Any, document: Any) -> Any:
        return original(each_scalar(document, lambda v: v[: 1 << 20] if type(v) is str else v))


@mutant("1.6", base="sqlite")
def order_of_a_locale() -> None:
    """Ids are sorted as people do it, small and capital letters side by side."""
    rewrite(
        "list_users", "ORDER BY created_at, user_id", "ORDER BY created_at, user_id COLLATE NOCASE"
    )


@mutant("1.6", base="sqlite")
def order_of_insertion() -> None:
    """Rows come in the order they were inserted in, which often is that of their times."""
    rewrite("list_api_keys", "ORDER BY created_at, key_id", "ORDER BY rowid")


@mutant("1.6", base="memory")
def order_of_utf_16() -> None:
    """Strings are compared by UTF-16 units, as Java and JavaScript do."""

    @replace("engine_store_memory.repository:ordered")
    def by_units(original: Any, entity: Any, rows: Any) -> Any:
        def position(row: Any) -> tuple[datetime, bytes]:
            created_at, key = entity.position(row)
            return created_at, key.encode("utf-16-be")

        return sorted(rows, key=position)
