"""Sections 1.6 and 5.2: order and keyset pages, alike for every list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from engine_store.models import Page, Status
from engine_store.protocols import Store
from engine_store.rules.checks import encode_cursor
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, refuses
from engine_store_contracts.suite.samples import (
    ALPHABET,
    API_KEYS,
    KINDS,
    TASKS,
    USERS,
    WORKFLOWS,
    Kind,
    each,
)

BAD_CURSORS: dict[str, Any] = {
    "empty": "",
    "no base64": "next please!",
    "base64 of nothing": "bm90aGluZw==",
    "base64 of JSON": "WzFd",
    "non-ASCII": "\u00e9",
    "an integer": 7,
}

# By what is wrong with it: arguments of a filter.
BAD_FILTERS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "role": (USERS, {"role": "admin"}),
    "user_id": (API_KEYS, {"user_id": ""}),
    "workflow_id": (WORKFLOWS, {"workflow_id": ""}),
    "statuses[0]": (WORKFLOWS, {"statuses": ["RUNNING"]}),
    "statuses": (WORKFLOWS, {"statuses": Status.RUNNING}),
    "workflow_exec_ids": (WORKFLOWS, {"workflow_exec_ids": "abc"}),
    "created_from": (WORKFLOWS, {"created_from": datetime(2024, 1, 1)}),
    "created_before": (WORKFLOWS, {"created_before": "2024-01-01"}),
    "parent_state_id": (TASKS, {"parent_state_id": ""}),
    "agent_id": (TASKS, {"agent_id": "a\0"}),
    "task_exec_ids[0]": (TASKS, {"task_exec_ids": [None]}),
    "execution_type": (TASKS, {"execution_type": "wait"}),
}

MOST_PAGES = 200
"""A list of the cases has fewer; one that repeats a row might have no end."""


def fill(store: Store, kind: Kind, keys: Iterable[str]) -> None:
    """Create a row for each key."""
    repository = kind.repository(store)
    for key in keys:
        repository.create(kind.make(key))


def page_of(store: Store, kind: Kind, limit: int = 100, cursor: str | None = None) -> Page[Any]:
    """Return one page."""
    page: Page[Any] = kind.entity.of(store).list(limit=limit, cursor=cursor)
    return page


def pages_of(read: Callable[..., Page[Any]], limit: int) -> Iterator[Page[Any]]:
    """Return every page of the list that `read` reads with a limit and a cursor."""
    cursor = None
    for _ in range(MOST_PAGES):
        page = read(limit=limit, cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    pytest.fail("the list has no end")


def keys_of(kind: Kind, *pages: Page[Any]) -> str:
    """Return the keys of the pages as one text."""
    return "".join(kind.entity.key(row) for page in pages for row in page.items)


def ordered(kind: Kind, keys: Sequence[str]) -> str:
    """Return keys from the oldest to the newest as the list has them."""
    return "".join(reversed(keys) if kind.entity.newest_first else keys)


def assert_lists(store: Store, kind: Kind, filter: object, expected: str) -> None:
    """Check which rows a filter finds, on one page and on a page for each."""
    read = partial(kind.entity.of(store).list, filter)
    assert keys_of(kind, read()) == expected
    one_by_one = [keys_of(kind, page) for page in pages_of(read, limit=1)]
    assert one_by_one == (list(expected) or [""])


class PagingCases(ContractCase):
    """Contract 1.6 and 5.2."""

    @clause("5.2")
    @each(KINDS)
    def test_an_empty_list_is_one_page(self, store: Store, kind: Kind) -> None:
        assert_same(page_of(store, kind), Page((), None))

    @clause("1.6", "5.2")
    @each(KINDS)
    def test_lists_and_their_pages_are_in_creation_then_code_point_order(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        for keys in (["zz"], [*ALPHABET[1::2], *ALPHABET[::2]], ["0"]):
            fill(store, kind, keys)
            clock.tick(0, microseconds=1)
        expected = ordered(kind, ["zz", *ALPHABET, "0"])
        assert keys_of(kind, page_of(store, kind)) == expected
        assert keys_of(kind, *pages_of(partial(page_of, store, kind), limit=2)) == expected

    @clause("5.2")
    @each(KINDS)
    @pytest.mark.parametrize("limit", [1, 2, 6, 7, 8, 1000])
    def test_pages_have_every_row_once(self, store: Store, kind: Kind, limit: int) -> None:
        fill(store, kind, "gbdface")  # all at the same time
        pages = list(pages_of(partial(page_of, store, kind), limit))
        assert keys_of(kind, *pages) == ordered(kind, "abcdefg")
        # Full pages but for the last, and no empty one after them:
        assert [len(page.items) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert 1 <= len(pages[-1].items) <= limit

    @clause("5.2")
    @each(KINDS)
    def test_rows_made_meanwhile_neither_shift_nor_repeat_the_others(
        self, store: Store, clock: ManualClock, kind: Kind
    ) -> None:
        fill(store, kind, "bdfh")
        first = page_of(store, kind, 2)
        clock.tick(-1)
        fill(store, kind, "0")
        clock.tick(1)
        fill(store, kind, "ace")
        clock.tick(1)
        fill(store, kind, "9")
        found = keys_of(kind, first, page_of(store, kind, 100, first.next_cursor))
        assert set("bdfh") <= set(found)
        assert len(set(found)) == len(found)
        assert found[:2] == ordered(kind, "bdfh")[:2]

    @clause("5.2")
    @each([kind for kind in KINDS if kind is not TASKS])
    def test_a_deleted_row_still_marks_its_place(self, store: Store, kind: Kind) -> None:
        fill(store, kind, "abcdef")
        first = page_of(store, kind, 3)
        for key in keys_of(kind, first):
            kind.entity.of(store).delete(key)
        rest = page_of(store, kind, 3, first.next_cursor)
        assert keys_of(kind, rest) == ordered(kind, "abcdef")[3:]
        assert rest.next_cursor is None

    @clause("5.2")
    @each(KINDS)
    def test_a_cursor_works_again_and_again(self, store: Store, kind: Kind) -> None:
        fill(store, kind, "abc")
        cursor = page_of(store, kind, 1).next_cursor
        assert keys_of(kind, page_of(store, kind, 1, cursor)) == "b"
        assert keys_of(kind, page_of(store, kind, 2, cursor)) == ordered(kind, "abc")[1:]

    @clause("1.4", "5.2")
    @pytest.mark.parametrize("bad", BAD_CURSORS.values(), ids=BAD_CURSORS)
    def test_what_is_no_cursor_is_refused(self, store: Store, bad: Any) -> None:
        with refuses("cursor"):
            store.workflows.list(cursor=bad)

    @clause("1.4", "5.2", "6.3")
    @pytest.mark.parametrize("field", BAD_FILTERS)
    def test_what_is_no_filter_is_refused_by_its_field(self, store: Store, field: str) -> None:
        kind, given = BAD_FILTERS[field]
        with refuses(f"filter.{field}"):
            kind.entity.of(store).list(type(kind.entity.everything)(**given))
        with refuses("filter"):
            kind.entity.of(store).list(None)

    @clause("5.2", "6.3")
    @each([WORKFLOWS, TASKS])
    def test_a_filter_takes_any_number_of_ids(self, store: Store, kind: Kind) -> None:
        fill(store, kind, ["7", "-1"])
        ids = [str(number) for number in range(40_000)]
        given = {f"{kind.entity.key_field}s": ids, "statuses": list(Status)}
        assert_lists(store, kind, type(kind.entity.everything)(**given), "7")

    @clause("5.2")
    @each(KINDS)
    def test_the_cursor_of_another_list_is_refused(self, store: Store, kind: Kind) -> None:
        for other in KINDS:
            if other is not kind:
                with refuses("cursor"):
                    page_of(store, kind, 1, encode_cursor(other.name, START, "a"))
        own = encode_cursor(kind.name, START, "a")
        assert_same(page_of(store, kind, 1, own), Page((), None))

    @clause("1.4", "5.2")
    @pytest.mark.parametrize("limit", [0, -1, 1001, True, 1.0, "1", None], ids=repr)
    def test_a_limit_is_an_integer_from_1_to_1000(self, store: Store, limit: Any) -> None:
        with refuses("limit"):
            store.workflows.list(limit=limit)

    @clause("5.2")
    @each(KINDS)
    def test_every_list_checks_its_limit_and_has_100_unless_given(
        self, store: Store, kind: Kind
    ) -> None:
        with refuses("limit"):
            page_of(store, kind, 0)
        fill(store, kind, map(chr, range(0x4E00, 0x4E00 + 101)))
        page = kind.entity.of(store).list()
        assert len(page.items) == 100
        assert len(page_of(store, kind, 100, page.next_cursor).items) == 1
