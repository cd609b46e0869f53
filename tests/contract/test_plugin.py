"""The plugin: every way to run the suite runs all of it, and no way around a case earns a level."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from engine_store_contracts import report
from engine_store_contracts.report import Case, Level, Outcome, Report, Run

WHOLE = "class TestIt(Contract): pass\n"
READ = "test_health_says_that_a_store_can_read_and_write"
QUICK = "--contract-clause=9.4"
URL = "--store-url=sqlite:///:memory:"
NO_SERVER = "postgresql://ann:top%40secret%2B1@127.0.0.1:1/x"
PART = "passed; no level, for a part of the suite earns none"
PYARGS = ("--pyargs", "engine_store_contracts")


def ended(run: Run) -> dict[str, Outcome]:
    """The cases that did not stay where they were, and how they ended."""
    return {case.id: case.outcome for case in run.cases if case.outcome is not Outcome.NOT_RUN}


def without_times(report: Report) -> Report:
    """The report, as it would be if everything took no time, at no time."""
    runs = [
        evolve(
            run, started_at=None, seconds=0, cases=[evolve(case, seconds=0) for case in run.cases]
        )
        for run in report.runs
    ]
    return evolve(report, created_at=None, runs=runs)


@pytest.fixture
def refuse(environment, tmp_path) -> Callable[..., str]:
    """Run pytest with options that it refuses; what it says."""

    def refuse(*options: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        return done.stderr.strip()

    return refuse


class TestWaysToRun:
    def test_they_all_have_the_same_cases(self, prove, environment, tmp_path) -> None:
        inherited = prove(tmp_path, "--collect-only", "-q", module=WHOLE)
        by_name = prove(tmp_path, "--collect-only", "-q", *PYARGS, URL)
        written = tmp_path / "command.json"
        command = Path(sys.executable).with_name("engine-store")
        options = ("sqlite:///:memory:", "--clause=9.4", "--jobs=1", f"--json={written}")
        subprocess.run(
            [command, "conformance", *options], cwd=tmp_path, env=environment, capture_output=True
        )

        ids = re.findall(r"^test_it.py::TestIt::(.+)", inherited.output, re.MULTILINE)
        assert len(ids) > 1500
        assert ids == re.findall(
            r"^test_contract.py::TestContract::(.+)", by_name.output, re.MULTILINE
        )
        for made in (inherited.report, by_name.report, report.read(written.read_text("utf-8"))):
            [run] = made.runs
            assert sorted(case.id for case in run.cases) == sorted(ids)
            assert run.level is Level.NONE

    def test_several_processes_report_what_one_does(self, prove, tmp_path) -> None:
        seeded = "test_what_threads_were_answered_has_an_explanation"
        options = (f"-k={READ} or {seeded} and usage", "--contract-seed=1", "--contract-seed=2")
        one = prove(tmp_path, *options, module=WHOLE)
        several = prove(tmp_path, *options, "-n=2", module=WHOLE)

        assert without_times(several.report) == without_times(one.report)
        assert set(ended(one.run)) == {
            *(f"{READ}[{face}]" for face in ("sync", "async")),
            *(f"{seeded}[{face}-{seed}-usage]" for face in ("sync", "async") for seed in (1, 2)),
        }
        for proof in (one, several):
            assert set(ended(proof.run).values()) == {Outcome.PASSED}
            assert "seed 1, 2\n" in proof.output


class TestFewerCases:
    """What leaves cases out, and does not say so, earns no level."""

    @pytest.mark.parametrize(
        ("options", "code", "passed", "earned"),
        [
            pytest.param(
                [QUICK], 0, 4, f"4 of 4 cases of clause 9.4 {PART}", id="--contract-clause"
            ),
            pytest.param(
                [QUICK, f"--deselect=test_it.py::TestIt::{READ}[sync]"],
                0,
                3,
                f"3 of 4 cases of clause 9.4 {PART}",
                id="--deselect",
            ),
            pytest.param(["-k=can_read"], 0, 2, rf"2 of \d+ cases {PART}", id="-k"),
            pytest.param(
                [f"test_it.py::TestIt::{READ}[async]"],
                0,
                1,
                rf"1 of \d+ cases {PART}",
                id="::case[id]",
            ),
            pytest.param([QUICK, "--setup-only"], 0, 0, "level none", id="--setup-only"),
            pytest.param(["-k=nothing_has_this_name"], 5, 0, "level none", id="no case at all"),
        ],
    )
    def test_by_an_option(self, prove, tmp_path, options, code, passed, earned) -> None:
        proof = prove(tmp_path, *options, module=WHOLE)
        assert proof.code == code
        assert len(ended(proof.run)) == proof.run.counted(Outcome.PASSED) == passed
        assert (proof.run.level, proof.run.problems) == (Level.NONE, ())
        assert re.search(rf"\): {earned}\n", proof.output)
        [seed] = proof.run.seeds
        assert f"profile quick, seed {seed}\n" in proof.output

    def test_a_section_has_all_its_clauses_and_the_cases_of_itself(self, prove, tmp_path) -> None:
        proof = prove(tmp_path, "--contract-clause=9", "--collect-only", "-q", module=WHOLE)
        selected = set(re.findall(r"^test_it.py::TestIt::(.+)", proof.output, re.MULTILINE))
        section = [
            case.id
            for case in proof.run.cases
            if any(number.partition(".")[0] == "9" for number in case.clauses)
        ]
        assert selected == set(section)
        assert len(selected) > 40

    @pytest.mark.parametrize(
        ("number", "there"),
        [
            ("2.33", "section 2 has 2.1 to 2.9"),
            ("2.", "section 2 has 2.1 to 2.9"),
            ("7.1", "section 7 has none of its own"),
            ("23", "its sections are 1 to 12"),
            ("", "its sections are 1 to 12"),
        ],
    )
    def test_what_is_no_clause_is_refused(self, refuse, number, there) -> None:
        assert refuse("--contract-clause=2.3", f"--contract-clause={number}") == (
            f"ERROR: {number} is no clause of the contract; {there}"
        )

    @pytest.mark.parametrize("options", [["-x"], ["--maxfail=1", "-n=1"]], ids=" ".join)
    def test_by_the_first_failure(self, prove, tmp_path, options) -> None:
        module = WHOLE.replace("pass", "harness = pytest.fixture(lambda self: 1 / 0)")
        proof = prove(tmp_path, QUICK, *options, module=module)
        assert proof.run.counted(Outcome.FAILED) < 4
        assert proof.run.level is Level.NONE
        assert proof.code != 0

    def test_by_a_setting_of_pytest(self, prove, tmp_path) -> None:
        proof = prove(tmp_path, "-o", "python_functions=test_health", module=WHOLE)
        assert proof.code == 2
        assert "of the contract is not collected (9.5)" in proof.output

    def test_by_python_without_assertions(self, prove, tmp_path) -> None:
        proof = prove(tmp_path, QUICK, module=WHOLE, PYTHONOPTIMIZE="1")
        assert proof.run.problems == ("nothing is asserted: Python runs with -O",)
        assert proof.run.level is Level.NONE

    def test_by_a_process_that_ends(self, prove, tmp_path) -> None:
        module = """
class TestIt(Contract):
    @pytest.fixture
    def harness(self, request):
        if request.node.name == "test_asking_for_health_writes_nothing[sync]":
            os._exit(1)
        with UrlHarness("sqlite:///:memory:") as harness:
            yield harness
"""
        proof = prove(tmp_path, QUICK, "-n=2", module=module)
        assert ended(proof.run) == dict.fromkeys(
            [f"{READ}[sync]", f"{READ}[async]", "test_asking_for_health_writes_nothing[async]"],
            Outcome.PASSED,
        )
        [problem] = proof.run.problems
        assert problem.startswith("the process gw")
        assert proof.run.level is Level.NONE
        assert proof.code != 0

    def test_by_an_end_before_the_end(self, prove, tmp_path) -> None:
        module = WHOLE + "def test_of_something_else():\n    pytest.exit('enough', returncode=0)\n"
        proof = prove(tmp_path, f"-k={READ} or something_else", module=module)
        assert proof.run.problems == ("the run was interrupted: enough",)
        assert (proof.run.counted(Outcome.PASSED), proof.run.level) == (2, Level.NONE)

    def test_by_a_url_that_is_missing(self, prove, tmp_path) -> None:
        proof = prove(tmp_path, *PYARGS)
        assert (proof.code, proof.report.runs) == (2, ())
        [said] = [line for line in proof.output.splitlines() if line.startswith("say ")]
        assert said == "say which driver to prove: --store-url URL"
        assert "Traceback" not in proof.output


class TestAUrlThatCannotBeOpened:
    """Told once, before anything is collected."""

    @pytest.mark.parametrize("jobs", [(), ("-n=2",)], ids=["one process", "several"])
    def test_a_folder_that_is_missing(self, refuse, tmp_path, jobs) -> None:
        place = tmp_path / "nowhere"
        assert refuse(*PYARGS, *jobs, f"--store-url=sqlite:///{place}/engine.db") == (
            f"ERROR: url: no folder can be made beside {place}/engine.db: No such file or directory"
        )

    def test_to_collect_needs_no_database(self, prove, tmp_path) -> None:
        proof = prove(tmp_path, *PYARGS, "--store-url=mysql://x", "--collect-only", "-q")
        assert proof.code == 0

    def test_a_driver_that_is_missing(self, refuse) -> None:
        [said] = refuse(*PYARGS, "--store-url=mysql://x").splitlines()
        assert said.startswith("ERROR: ")
        assert "no driver named 'mysql'" in said

    def test_a_server_that_is_missing(self, refuse) -> None:
        [said] = refuse(*PYARGS, f"--store-url={NO_SERVER}").splitlines()
        assert said.startswith("ERROR: PostgreSQL at 127.0.0.1, database x: connection failed: ")
        assert "secret" not in said


WAYS_OUT = """

class TestHonest(Contract):
    def test_what_only_this_driver_has_and_can_read(self):
        pytest.skip("not today")

@pytest.mark.skip(reason="it fails")
class TestSkipped(Contract): pass

@pytest.mark.skipif(True, reason="it fails")
class TestSkippedIf(Contract): pass

@pytest.mark.xfail(reason="it fails")
class TestExpectedToFail(Contract): pass

@pytest.mark.xfail(run=False, reason="it fails")
class TestNotEvenRun(Contract): pass

class TestFixtureSkips(Contract):
    @pytest.fixture(autouse=True)
    def patience(self):
        pytest.skip("it fails")

class TestHarnessSkips(Contract):
    @pytest.fixture
    def harness(self):
        pytest.skip("it fails")

class TestHarnessExpectsToFail(Contract):
    @pytest.fixture
    def harness(self):
        pytest.xfail("it fails")

class TestHarnessSkipsInTheEnd(Contract):
    @pytest.fixture
    def harness(self):
        with UrlHarness("sqlite:///:memory:") as harness:
            yield harness
        pytest.skip("it fails")

class TestHarnessRaises(Contract):
    @pytest.fixture
    def harness(self):
        raise RuntimeError("no server \\ud800")

class TestTriedAgain(TestHarnessRaises): pass

class Declares(UrlHarness):
    def __init__(self, reason):
        super().__init__("sqlite:///:memory:")
        self.reason = reason

    def capabilities(self):
        return {"reopen": Capability("reopen", False, self.reason)}

class TestUnexplained(Contract):
    harness = pytest.fixture(lambda self: Declares(" "))

class TestExplained(Contract):
    harness = pytest.fixture(lambda self: Declares("it is in memory"))
"""

TRIES_AGAIN = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and "TestTriedAgain" in item.nodeid:
        report.outcome = "rerun"  # as the plugins that try again do
    return report
"""


OPEN = "test_closing_one_store_leaves_the_other_open"


@pytest.fixture(scope="module")
def ways_out(tmp_path_factory, prove) -> Callable[..., tuple[Case, Case]]:
    """Runs all of these classes; the case of the class with either face."""
    folder = tmp_path_factory.mktemp("ways")
    (folder / "conftest.py").write_text(TRIES_AGAIN, "utf-8")
    proof = prove(folder, f"-k={READ} or {OPEN}", module=WAYS_OUT)

    def cases(name: str, case: str = READ) -> tuple[Case, Case]:
        found = {known.id: known for known in proof.run_of(name).cases}
        return found[f"{case}[sync]"], found[f"{case}[async]"]

    cases.proof = proof
    return cases


@pytest.mark.xdist_group("ways out")
class TestWaysOut:
    """A case fails that is left out by anything but a capability with a reason."""

    @pytest.mark.parametrize(
        "name",
        [
            "TestSkipped",
            "TestSkippedIf",
            "TestExpectedToFail",
            "TestNotEvenRun",
            "TestFixtureSkips",
            "TestHarnessSkips",
            "TestHarnessExpectsToFail",
            "TestHarnessSkipsInTheEnd",
        ],
    )
    def test_no_skip_and_no_expected_failure_is_one(self, ways_out, name) -> None:
        for case in ways_out(name):
            assert case.outcome is Outcome.FAILED
            assert case.failure == "a case of the contract is left out by a capability only (9.5)"

    def test_an_error_of_the_harness_is_a_failure(self, ways_out) -> None:
        for case in ways_out("TestHarnessRaises"):
            assert case.outcome is Outcome.FAILED
            assert r"RuntimeError: no server \ud800" in (case.failure or "")

    def test_to_try_again_is_a_failure(self, ways_out) -> None:
        for case in ways_out("TestTriedAgain"):
            assert case.outcome is Outcome.FAILED
            assert "RuntimeError: no server" in (case.failure or "")

    def test_a_capability_without_a_reason_is_a_failure(self, ways_out) -> None:
        for case in ways_out("TestUnexplained", OPEN):
            assert case.outcome is Outcome.FAILED
            assert "`reopen` is unsupported but has no reason (9.5)" in (case.failure or "")

    def test_a_capability_with_a_reason_is_unsupported(self, ways_out) -> None:
        for case in ways_out("TestExplained", OPEN):
            assert case.outcome is Outcome.UNSUPPORTED
            assert (case.capability, case.reason) == ("reopen", "it is in memory")
        assert "  without reopen: it is in memory\n" in ways_out.proof.output

    def test_what_is_no_case_of_the_contract_is_the_drivers_own_affair(self, ways_out) -> None:
        run = ways_out.proof.run_of("TestHonest")
        assert run.counted(Outcome.FAILED) == 0
        assert [case.id for case in run.cases if "only_this_driver" in case.id] == []


DECLARED = """
class Declares(UrlHarness):
    def __init__(self, name, reason="it cannot", supported=False):
        super().__init__("sqlite:///:memory:")
        self.declared = Capability(name, supported, reason)

    def capabilities(self):
        return {self.declared.name: self.declared}

class TestMisspelt(Contract):
    harness = pytest.fixture(lambda self: Declares("migration"))

class TestUnexplained(Contract):
    harness = pytest.fixture(lambda self: Declares("migrations", reason=" "))

class TestOwn(Contract):
    harness = pytest.fixture(lambda self: Declares("concurrent_writers"))

class TestSupported(Contract):
    harness = pytest.fixture(lambda self: Declares("migration", supported=True))
"""


def test_what_is_declared_is_what_the_suite_asks_for(prove, tmp_path) -> None:
    proof = prove(tmp_path, "--contract-clause=9.5", module=DECLARED)

    def failures(name: str) -> list[str]:
        failed = [case.failure or "" for case in proof.run_of(name).cases]
        return re.findall(
            r"^E +(?:AssertionError: |Failed: )(`.+)", "\n".join(failed), re.MULTILINE
        )

    assert (
        failures("TestMisspelt")
        == ["`migration` is no capability that the suite asks for; did you mean `migrations`?"] * 2
    )
    assert (
        failures("TestUnexplained") == ["`migrations` is unsupported but has no reason (9.5)"] * 2
    )
    for name in ("TestOwn", "TestSupported"):
        assert proof.run_of(name).counted(Outcome.FAILED) == 0


REFUSED = f"""
class TestWithout(Contract):
    {READ} = None

class TestAnother(Contract):
    def {READ}(self): pass

class TestOneFace(Contract):
    def pytest_generate_tests(self, metafunc):
        metafunc.parametrize("face", ["sync"])

class TestOwnStore(Contract):
    @pytest.fixture
    def store(self): pytest.skip("it fails")

class TestAllSupported(Contract):
    @pytest.fixture(autouse=True)
    def _supported(self): pass

class TestWhole(Contract): pass
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory, prove):
    """What comes of all of these classes, beside a file that cannot be imported."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "test_broken.py").write_text("import nothing_of_this_name", "utf-8")
    return prove(folder, QUICK, "--continue-on-collection-errors", module=REFUSED)


@pytest.mark.xdist_group("refused")
class TestRefused:
    """What changes the contract is not collected, and all that runs beside it earns nothing."""

    @pytest.mark.parametrize(
        ("name", "replaced"),
        [
            ("TestWithout", READ),
            ("TestAnother", READ),
            ("TestOneFace", "pytest_generate_tests"),
            ("TestOwnStore", "store"),
            ("TestAllSupported", "_supported"),
        ],
    )
    def test_a_class_that_replaces(self, refused, name, replaced) -> None:
        [problem] = [
            text for text in refused.run.problems if text.startswith(f"test_it.py::{name}:")
        ]
        assert problem == (
            f"test_it.py::{name}: {name} replaces {replaced} of the contract; what a driver cannot "
            "do it declares as a capability (9.5)"
        )

    def test_a_file_that_cannot_be_imported(self, refused) -> None:
        [problem] = [text for text in refused.run.problems if text.startswith("test_broken.py:")]
        assert "nothing_of_this_name" in problem

    def test_what_runs_beside_it_passes_and_earns_nothing(self, refused) -> None:
        assert refused.run.subject == "test_it.py::TestWhole"
        assert (refused.run.counted(Outcome.PASSED), len(refused.run.problems)) == (4, 6)
        assert (refused.run.level, refused.code) == (Level.NONE, 1)


GONE = f"""
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    session.config.option.store_url = {NO_SERVER!r}  # a server that went away after the start
"""


class TestSecrets:
    def test_no_password_of_the_url_is_shown(self, prove, tmp_path) -> None:
        page = tmp_path / "report.html"
        (tmp_path / "gone.py").write_text(GONE, "utf-8")
        options = ("-pgone", URL, f"--contract-html={page}", QUICK, "--showlocals", "-ra")
        proof = prove(tmp_path, *PYARGS, *options, PYTHONPATH=str(tmp_path))
        assert proof.run.counted(Outcome.FAILED) == 4
        texts = (proof.output, (tmp_path / "report.json").read_text(), page.read_text())
        for text in texts:
            assert "postgresql://ann:***@127.0.0.1:1/x" in text
            assert "top%40" not in text
            assert "top@secret" not in text

    @pytest.mark.parametrize("option", ["--contract-json", "--contract-html"])
    def test_a_report_that_cannot_be_written_is_known_at_once(
        self, refuse, tmp_path, option
    ) -> None:
        said = refuse(f"{option}={tmp_path}/nowhere/report")
        assert said == f"ERROR: {tmp_path}/nowhere/report cannot be written"
