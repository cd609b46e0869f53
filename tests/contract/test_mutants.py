"""The suite notices: each driver of `broken/` fails a case of the clause that it breaks.

The suite runs as its users run it, in a process of its own for each mutant; see
`broken/engine_store_broken/judge.py` for what makes that quick.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import frozen

from engine_store_contracts import report
from engine_store_contracts.clauses import CLAUSES, is_clause
from engine_store_contracts.report import Case, Level, Run
from engine_store_contracts.report.model import Outcome

ROOT = Path(__file__).parents[2]
BROKEN = ROOT / "tests/contract/broken"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(BROKEN)
    import engine_store_broken  # noqa: F401 - collects the mutants
    from engine_store_broken.judge import CRASHED, seeds_of
    from engine_store_broken.mutant import MUTANTS, Mutant, rewrite

OUTER = ("PYTEST_", "COVERAGE_")
"""Variables of the run of these tests, not of the suite's."""

SEEDS = range(50_001, 50_004)
"""No other argument of a case is one of these numbers."""

RANDOM_CALLS = "test_the_store_does_what_the_reference_does"
"""Left out: it proves whole sections, and a mutant has to be noticed by a case of its clause."""


@frozen
class Proof:
    """What a run of the suite came to."""

    code: int
    output: str
    run: Run

    def failures(self, clause: str) -> list[Case]:
        """Its cases that failed."""
        cases = self.run.cases
        return [c for c in cases if clause in c.clauses and c.outcome is Outcome.FAILED]


Prove: TypeAlias = Callable[[str, Sequence[str]], Proof]
"""Runs the cases of some clauses, with every seed, on the driver that `mutant=...` names."""


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The suite, collected, and waiting for a mutant."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "empty").mkdir()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "--pyargs", "engine_store_contracts"),
            *(f"--contract-seed={seed}" for seed in SEEDS),
            *("--timeout=60", "--tb=short", "--capture=no", "-q", "-k", f"not {RANDOM_CALLS}"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "engine_store_broken.judge"),
        ],
        cwd=folder / "empty",
        env={
            **{name: os.environ[name] for name in os.environ if not name.startswith(OUTER)},
            "PYTHONPATH": str(BROKEN),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while not said.endswith("\nready\n"):
            line = process.stdout.readline()
            assert line, said
            said += line
        yield process
        process.communicate()


@pytest.fixture
def prove(suite: subprocess.Popen[str], tmp_path: Path) -> Prove:
    """See `Prove`."""

    def prove(mutant: str, clauses: Sequence[str]) -> Proof:
        run = {
            "url": f"broken:///{tmp_path}/engine.db?mutant={mutant}",
            "clauses": clauses,
            "report": str(tmp_path / "report.json"),
            "output": str(tmp_path / "output.txt"),
        }
        assert suite.stdin is not None
        assert suite.stdout is not None
        suite.stdin.write(json.dumps(run) + "\n")
        suite.stdin.flush()
        answer = ""
        while not answer.endswith(f" {run['report']}\n"):  # another run may have timed out here
            answer = suite.stdout.readline()
            assert answer, "the suite has ended"
        output = (tmp_path / "output.txt").read_text("utf-8")
        assert (tmp_path / "report.json").exists(), output
        [proven] = report.read((tmp_path / "report.json").read_text("utf-8")).runs
        return Proof(int(answer.split()[0]), output, proven)

    return prove


@pytest.mark.parametrize("section", [*"123456789", "10", "11", "12"])
@pytest.mark.parametrize("base", ["sqlite", "memory"])
def test_what_is_not_broken_passes(prove: Prove, base: str, section: str) -> None:
    clauses = {m.clause for m in MUTANTS.values() if m.clause.partition(".")[0] == section}
    proof = prove(f"none&base={base}", sorted(clauses))
    assert proof.code == 0, proof.output
    assert proof.run.failed_clauses == proof.run.problems == ()
    passed = {c for case in proof.run.cases if case.outcome is Outcome.PASSED for c in case.clauses}
    broken_here = {m.clause for m in MUTANTS.values() if m.base == base} & clauses
    assert broken_here <= passed


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(prove: Prove, mutant: Mutant) -> None:
    another = "6.2" if mutant.clause == "9.4" else "9.4"
    proof = prove(mutant.name, [mutant.clause, another])

    assert proof.failures(another) == [], "it does not work at all"
    failed = proof.failures(mutant.clause)
    assert failed, f"no case of {mutant.clause} notices it"
    noticed = [case for case in failed if not CRASHED.search(case.failure or "")]
    seeds = set[int]().union(*(seeds_of(case.id, SEEDS) for case in noticed))
    assert seeds == set(SEEDS), proof.output
    assert mutant.clause in proof.run.failed_clauses
    assert (proof.code, proof.run.level, proof.run.problems) == (1, Level.NONE, ())


def test_every_section_has_a_mutant() -> None:
    clauses = {mutant.clause for mutant in MUTANTS.values()}
    assert len(MUTANTS) >= 45
    assert clauses <= {number for number in CLAUSES if is_clause(number)}
    assert {clause.partition(".")[0] for clause in clauses} == {*"123456789", "10", "11", "12"}


def test_a_rewrite_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(AssertionError, match="get_user has no 'ORDER BY'"):
        rewrite("get_user", "ORDER BY", "")
