"""Sections 1.6 and 5.2: keyset pages, alike for every list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from engine_store.checks import encode_cursor
from engine_store.models import Page
from engine_store.protocols import Store
from engine_store_contracts.clock import START, ManualClock
from engine_store_contracts.suite.case import ContractCase, assert_same, clause, refuses
from engine_store_contracts.suite.samples import api_key, task, user, workflow


@frozen
class _List:
    """One of the four lists, behind one face."""

    name: str
    key_field: str
    make: Callable[[str], Any]
    delete: Callable[[Store, str], object] | None = None
    newest_first: bool = False

    def fill(self, store: Store, keys: str) -> None:
        """A row for each letter."""
        if self.name == "api_keys":
            store.users.upsert(user("ann"))
        if self.name == "tasks":
            store.workflows.upsert(workflow("w"))
        for key in keys:
            getattr(store, self.name).create(self.make(key))

    def page(self, store: Store, limit: int = 100, cursor: str | None = None) -> Page[Any]:
        """One page."""
        page: Page[Any] = getattr(store, self.name).list(limit=limit, cursor=cursor)
        return page

    def keys(self, page: Page[Any]) -> str:
        """The letters of a page."""
        return "".join(getattr(row, self.key_field) for row in page.items)

    def ordered(self, keys: str) -> str:
        """Letters of rows made at the same time, in the order of the list."""
        return "".join(sorted(keys, reverse=self.newest_first))


LISTS = [
    _List("users", "user_id", user, lambda store, key: store.users.delete(key)),
    _List("api_keys", "key_id", api_key, lambda store, key: store.api_keys.delete(key)),
    _List(
        "workflows",
        "workflow_exec_id",
        workflow,
        lambda store, key: store.workflows.delete(key),
        newest_first=True,
    ),
    _List("tasks", "task_exec_id", task),
]

EACH_LIST = pytest.mark.parametrize("rows", LISTS, ids=lambda rows: rows.name)

BAD_CURSORS: dict[str, Any] = {
    "empty": "",
    "no base64": "next please!",
    "base64 of nothing": "bm90aGluZw==",
    "base64 of JSON": "WzFd",
    "non-ASCII": "\u00e9",
    "an integer": 7,
}


class PagingCases(ContractCase):
    """Contract 1.6 and 5.2."""

    @clause("5.2")
    @EACH_LIST
    def test_an_empty_list_is_one_page(self, store: Store, rows: _List) -> None:
        assert_same(rows.page(store), Page((), None))

    @clause("5.2")
    @EACH_LIST
    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 1000])
    def test_pages_have_every_row_once(self, store: Store, rows: _List, limit: int) -> None:
        rows.fill(store, "gbdface")  # all at the same time
        pages = [rows.page(store, limit)]
        while pages[-1].next_cursor is not None and len(pages) <= 7:  # a page for each row
            pages.append(rows.page(store, limit, pages[-1].next_cursor))
        assert "".join(map(rows.keys, pages)) == rows.ordered("abcdefg")
        # Full pages but for the last, and no empty one behind them:
        assert [len(page.items) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert 1 <= len(pages[-1].items) <= limit

    @clause("5.2")
    @EACH_LIST
    def test_pages_go_on_by_time_and_then_by_id(
        self, store: Store, clock: ManualClock, rows: _List
    ) -> None:
        for keys in ("ed", "c", "ba"):
            rows.fill(store, keys)
            clock.tick(microseconds=1)
        expected = "decab"
        if rows.newest_first:
            expected = expected[::-1]
        pages = [rows.page(store, 2)]
        pages.append(rows.page(store, 2, pages[0].next_cursor))
        pages.append(rows.page(store, 2, pages[1].next_cursor))
        assert [rows.keys(page) for page in pages] == [expected[:2], expected[2:4], expected[4]]
        assert pages[2].next_cursor is None

    @clause("5.2")
    @EACH_LIST
    def test_rows_made_meanwhile_neither_shift_nor_repeat_the_others(
        self, store: Store, clock: ManualClock, rows: _List
    ) -> None:
        rows.fill(store, "bdfh")
        first = rows.page(store, 2)
        clock.tick(-1)
        rows.fill(store, "0")
        clock.tick(1)
        rows.fill(store, "ace")
        clock.tick(1)
        rows.fill(store, "9")
        rest = rows.page(store, 100, first.next_cursor)
        assert set("bdfh") <= set(rows.keys(first) + rows.keys(rest))
        assert len(set(rows.keys(first) + rows.keys(rest))) == len(first.items) + len(rest.items)
        assert rows.keys(first) == rows.ordered("bdfh")[:2]

    @clause("5.2")
    @pytest.mark.parametrize("rows", LISTS[:3], ids=lambda rows: rows.name)
    def test_a_deleted_row_still_marks_its_place(self, store: Store, rows: _List) -> None:
        rows.fill(store, "abcdef")
        first = rows.page(store, 3)
        assert rows.delete is not None
        for key in rows.keys(first):
            rows.delete(store, key)
        rest = rows.page(store, 3, first.next_cursor)
        assert rows.keys(rest) == rows.ordered("abcdef")[3:]
        assert rest.next_cursor is None

    @clause("5.2")
    @EACH_LIST
    def test_a_cursor_works_again_and_again(self, store: Store, rows: _List) -> None:
        rows.fill(store, "abc")
        cursor = rows.page(store, 1).next_cursor
        assert rows.keys(rows.page(store, 1, cursor)) == "b"
        assert rows.keys(rows.page(store, 2, cursor)) == rows.ordered("abc")[1:]

    @clause("1.4", "5.2")
    @pytest.mark.parametrize("bad", BAD_CURSORS.values(), ids=BAD_CURSORS)
    def test_what_is_no_cursor_is_refused(self, store: Store, bad: Any) -> None:
        with refuses("cursor"):
            store.workflows.list(cursor=bad)

    @clause("5.2")
    @EACH_LIST
    def test_the_cursor_of_another_list_is_refused(self, store: Store, rows: _List) -> None:
        for other in LISTS:
            if other is not rows:
                with refuses("cursor"):
                    rows.page(store, 1, encode_cursor(other.name, START, "a"))
        assert_same(rows.page(store, 1, encode_cursor(rows.name, START, "a")), Page((), None))

    @clause("1.4", "5.2")
    @pytest.mark.parametrize("limit", [0, -1, 1001, True, 1.0, "1", None], ids=repr)
    def test_a_limit_is_an_integer_from_1_to_1000(self, store: Store, limit: Any) -> None:
        with refuses("limit"):
            store.workflows.list(limit=limit)

    @clause("5.2")
    @EACH_LIST
    def test_every_list_checks_its_limit_and_has_100_unless_told(
        self, store: Store, rows: _List
    ) -> None:
        with refuses("limit"):
            rows.page(store, 0)
        rows.fill(store, "".join(map(chr, range(0x4E00, 0x4E00 + 101))))
        page = getattr(store, rows.name).list()
        assert len(page.items) == 100
        assert len(rows.page(store, 100, page.next_cursor).items) == 1
