"""The suite itself: every case proves a clause there is, and none is lost."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from engine_store_contracts import suite
from engine_store_contracts.machine import MachineContract
from engine_store_contracts.suite.case import ContractCase

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"

CLASSES = [*(getattr(suite, name) for name in suite.__all__), MachineContract]


def clauses_of_the_contract() -> set[str]:
    """The numbers of every section and clause."""
    found, section = set(), ""
    for line in CONTRACT.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\d+)\. ", line):
            section = heading[1]
            found.add(section)
        elif number := re.match(r"(\d+)\. ", line):
            found.add(f"{section}.{number[1]}")
    return found


def cases(cls: type) -> Iterator[FunctionType]:
    """Every case that `cls` has or inherits."""
    for name in dir(cls):
        if name.startswith("test_"):
            yield getattr(cls, name)


def clauses_of(case: FunctionType) -> set[str]:
    """The clauses a case says it proves."""
    marks = getattr(case, "pytestmark", [])
    return {number for mark in marks if mark.name == "clause" for number in mark.args}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_case_says_which_clauses_it_proves(cls: type) -> None:
    unknown = {
        case.__name__: clauses_of(case)
        for case in cases(cls)
        if not clauses_of(case) or clauses_of(case) - clauses_of_the_contract()
    }
    assert unknown == {}


def test_every_clause_that_a_store_can_be_asked_about_has_a_case() -> None:
    proven = {number for cls in CLASSES for case in cases(cls) for number in clauses_of(case)}
    sections = {str(number) for number in range(1, 10)}
    # 9.5 is about how drivers declare themselves, and asks nothing of a store.
    assert clauses_of_the_contract() - sections - proven == {"9.5"}


def test_a_class_that_would_lose_a_case_is_refused() -> None:
    class One(ContractCase):
        def test_the_same(self) -> None: ...

    class Other(ContractCase):
        def test_the_same(self) -> None: ...

    with pytest.raises(TypeError, match="One and Other both have test_the_same"):
        type("Both", (One, Other), {})
