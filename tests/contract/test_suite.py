"""The suite itself: every case proves a clause there is, every clause has a case, none is lost."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from engine_store_contracts.clauses import CLAUSES, is_clause
from engine_store_contracts.contract import DriverContract
from engine_store_contracts.suite.case import ContractCase

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"


def clauses_of_the_contract() -> list[str]:
    """The numbers of every section and clause, in order."""
    found, section = [], ""
    for line in CONTRACT.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\d+)\. ", line):
            section = heading[1]
            found.append(section)
        elif number := re.match(r"(\d+)\. ", line):
            found.append(f"{section}.{number[1]}")
    return found


def cases(cls: type) -> Iterator[FunctionType]:
    """Every case that `cls` has or inherits."""
    for name in dir(cls):
        if name.startswith("test_"):
            yield getattr(cls, name)


def clauses_of(case: FunctionType) -> set[str]:
    """The clauses that a case says it proves, also by its parameters."""
    marks = [*getattr(case, "pytestmark", [])]
    for mark in [mark for mark in marks if mark.name == "parametrize"]:
        marks += [each for value in mark.args[1] for each in getattr(value, "marks", ())]
    return {number for mark in marks if mark.name == "clause" for number in mark.args}


def test_every_clause_of_the_contract_has_a_title() -> None:
    assert list(CLAUSES) == clauses_of_the_contract()


def test_every_clause_has_a_case() -> None:
    proven = {number for case in cases(DriverContract) for number in clauses_of(case)}
    assert {number for number in CLAUSES if is_clause(number)} <= proven


def test_every_case_says_which_clauses_it_proves() -> None:
    silent = [case.__name__ for case in cases(DriverContract) if not clauses_of(case)]
    unknown = {number for case in cases(DriverContract) for number in clauses_of(case)}
    assert (silent, unknown - set(CLAUSES)) == ([], set())


def test_a_class_that_would_lose_a_case_is_refused() -> None:
    class One(ContractCase):
        def test_the_same(self) -> None: ...

    class Other(ContractCase):
        def test_the_same(self) -> None: ...

    with pytest.raises(TypeError, match="One and Other both have test_the_same"):
        type("Both", (One, Other), {})
