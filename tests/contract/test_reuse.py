"""A database is used again by the next case only if it can be sure to find nothing in it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine_store import User, WorkflowState
from engine_store.errors import UnavailableError
from engine_store.protocols import Capability, Store
from engine_store_contracts import recording
from engine_store_contracts.harness import Harness, UrlHarness
from engine_store_contracts.report import Outcome
from engine_store_contracts.reuse import Reuse

EMPTYING: dict[str, Callable[[Store], object]] = {
    "forgets the workflows": lambda store: store.users.delete("ann"),
    "forgets the users": lambda store: store.workflows.delete("w"),
    "fails": lambda store: store.users.delete("missing"),
}


class Made(UrlHarness):
    """A file that notes its removal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self.is_removed = False

    def close(self) -> None:
        self.is_removed = True


@pytest.fixture
def reuse() -> Iterator[Reuse]:
    with closing(Reuse()) as reuse:
        yield reuse


@pytest.fixture
def case(reuse: Reuse, tmp_path: Path) -> Callable[..., Any]:
    """A case that writes a user and a workflow, and fails in a phase if asked to."""
    made: list[Made] = []

    def make() -> Made:
        made.append(Made(tmp_path / f"{len(made)}.db"))
        return made[-1]

    @contextmanager
    def case(*, fresh: bool = False, failing: str | None = None) -> Iterator[Harness]:
        item: Any = SimpleNamespace(stash=pytest.Stash())
        with reuse.harness(make, item, fresh=fresh) as harness:
            with harness.open() as store:
                assert store.users.list().items == store.workflows.list().items == ()
                store.users.create(User("ann", "ann@example.org"))
                store.workflows.create(WorkflowState("w", "report"))
            yield harness
            if failing == "call":
                recording.note_failure(item)
        if failing == "teardown":
            recording.note_failure(item)

    return case


def test_a_database_is_used_again_and_removed_at_the_end(case, reuse):
    with case() as one:
        pass
    with case() as other:
        assert not other.is_removed
    assert other is one
    reuse.close()
    assert one.is_removed


def test_a_database_is_used_again_however_often(case, reuse):
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)
    try:
        with case() as one:
            pass
        for _ in range(150):
            with case() as other:
                assert other is one
        reuse.close()
    finally:
        sys.setrecursionlimit(depth)


@pytest.mark.parametrize("failing", ["call", "teardown"])
def test_what_a_failed_case_used_is_removed(case, failing):
    with case(failing=failing) as one:
        pass
    with case() as other:
        assert one.is_removed
    assert other is not one


@pytest.mark.parametrize("empty", EMPTYING.values(), ids=EMPTYING)
def test_what_is_not_emptied_is_removed(case, monkeypatch, empty):
    with case() as one:
        monkeypatch.setattr(one, "empty", empty)
    with case() as other:
        assert one.is_removed
    assert other is not one


def test_what_cannot_be_opened_again_is_removed(case, monkeypatch):
    def refuse(**_: object) -> Store:
        raise UnavailableError("locked")

    with case() as one:
        pass
    monkeypatch.setattr(one, "open", refuse)
    with case() as other:
        assert one.is_removed
    assert other is not one


def test_a_fresh_database_is_used_once_and_the_kept_one_stays(case):
    with case() as one:
        pass
    with case(fresh=True) as other:
        pass
    assert (other.is_removed, one.is_removed) == (True, False)
    with case() as again:
        assert again is one


def test_a_database_that_ends_with_its_store_is_used_once(case, monkeypatch):
    gone = {"reopen": Capability("reopen", False, "it is in memory")}
    monkeypatch.setattr(Made, "capabilities", lambda self: gone)
    with case() as one:
        pass
    assert one.is_removed


SHARED = """
class TestShared(Contract):
    @pytest.fixture
    def harness(self, reused, tmp_path):
        def make():
            with open("made.txt", "a") as made:
                made.write("one\\n")
            return UrlHarness(f"sqlite:///{tmp_path}/engine.db")
        return reused(make)
"""


def test_the_cases_of_a_class_share_a_database_but_for_those_of_fresh_sections(prove, tmp_path):
    proof = prove(tmp_path, "-k=test_a_role_is_a_role or test_a_target_is_a_step", module=SHARED)
    assert (proof.run.counted(Outcome.PASSED), proof.run.counted(Outcome.FAILED)) == (6, 0)
    fresh = 4  # two faces, two targets
    assert (tmp_path / "made.txt").read_text("utf-8").split() == ["one"] * (1 + fresh)
