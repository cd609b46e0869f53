"""A report: the level follows from the cases alone, and every form of it says the same."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from attrs import evolve
from jsonschema import Draft202012Validator, ValidationError

from engine_store.errors import ConfigurationError
from engine_store_contracts.clauses import CLAUSES, is_clause
from engine_store_contracts.report import (
    Case,
    Level,
    Outcome,
    Report,
    Run,
    merge,
    read,
    render,
    summary,
    write,
)
from engine_store_contracts.report.model import Capability

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

PASSED = Case(
    "test_everything[sync]",
    tuple(number for number in CLAUSES if is_clause(number)),
    Outcome.PASSED,
    seconds=0.25,
    operations=7,
)
FAILED = Case(
    "test_hostile[sync]",
    ("2.5",),
    Outcome.FAILED,
    failure="E  <script>alert('1')</script> & \x00 \u2028 ünï",
    script='store.users.create("<b>")',
)
UNSUPPORTED = Case(
    "test_processes[sync]",
    ("8.2",),
    Outcome.UNSUPPORTED,
    capability="processes",
    reason="memory <belongs> to one process",
)
NOT_RUN = Case("test_left_out[sync]", ("9.4",), Outcome.NOT_RUN)


def run_of(*cases: Case, **changes) -> Run:
    run = Run(
        subject="test_it.py::TestIt",
        profile="quick",
        seeds=(1, 2),
        cases=cases,
        driver="mine",
        driver_version="0.1.0",
        server_version="3.40",
        schema_version=4,
        capabilities={"processes": Capability(False, "memory <belongs> to one process")},
        started_at=NOW,
        seconds=1.5,
    )
    return evolve(run, **changes)


REPORT = Report(
    "0.1.0",
    NOW,
    (
        run_of(PASSED, FAILED, UNSUPPORTED, NOT_RUN, problems=("a process <ended>\nat once",)),
        run_of(
            PASSED,
            selected=("9.4",),
            driver=None,
            server_version=None,
            schema_version=None,
            started_at=None,
        ),
    ),
)


class TestLevel:
    def test_full_where_every_case_passed_and_every_clause_has_one(self) -> None:
        assert run_of(PASSED).level is Level.FULL

    def test_declared_where_a_case_was_left_out_by_a_capability(self) -> None:
        assert run_of(PASSED, UNSUPPORTED).level is Level.DECLARED

    @pytest.mark.parametrize(
        "run",
        [
            pytest.param(run_of(PASSED, FAILED), id="a case failed"),
            pytest.param(run_of(PASSED, NOT_RUN), id="a case did not run"),
            pytest.param(run_of(PASSED, UNSUPPORTED, FAILED), id="declared, and one failed"),
            pytest.param(run_of(PASSED, problems=("it ended",)), id="something went wrong"),
            pytest.param(
                run_of(evolve(PASSED, clauses=PASSED.clauses[1:])), id="a clause has no case"
            ),
            pytest.param(
                run_of(evolve(UNSUPPORTED, clauses=PASSED.clauses)), id="everything is left out"
            ),
            pytest.param(run_of(), id="no case"),
        ],
    )
    def test_none_where(self, run: Run) -> None:
        assert run.level is Level.NONE


class TestClauses:
    def test_there_is_a_row_for_every_clause_and_section(self) -> None:
        assert {row.number: row.title for row in run_of().clauses} == CLAUSES

    @pytest.mark.parametrize(
        ("outcomes", "expected"),
        [
            ([Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.NOT_RUN, Outcome.FAILED], "failed"),
            ([Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.NOT_RUN], "not run"),
            ([Outcome.PASSED, Outcome.UNSUPPORTED], "passed"),
            ([Outcome.UNSUPPORTED], "unsupported"),
            ([], "not run"),
        ],
    )
    def test_the_worst_case_decides(self, outcomes: list[Outcome], expected: str) -> None:
        cases = [evolve(NOT_RUN, id=f"test_{outcome}", outcome=outcome) for outcome in outcomes]
        [row] = [row for row in run_of(*cases).clauses if row.number == "9.4"]
        assert row.outcome == expected
        counts = [row.passed, row.failed, row.unsupported, row.not_run]
        assert counts == [outcomes.count(outcome) for outcome in Outcome]

    def test_a_clause_is_failed_or_uncovered_by_its_number(self) -> None:
        run = run_of(FAILED)
        assert run.failed_clauses == ("2.5",)
        assert run.uncovered == tuple(number for number in PASSED.clauses if number != "2.5")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    text = files("engine_store_contracts.report").joinpath("schema.json").read_text("utf-8")
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


class TestJson:
    def test_what_is_written_is_what_is_read(self) -> None:
        assert read(write(REPORT)) == REPORT

    def test_it_is_as_the_schema_says(self, validator: Draft202012Validator) -> None:
        validator.validate(json.loads(write(REPORT)))

    def test_it_says_what_follows_from_the_cases(self) -> None:
        run = json.loads(write(REPORT))["runs"][0]
        assert (run["level"], run["operations"]) == ("none", 7)
        assert run["totals"] == {"passed": 1, "failed": 1, "unsupported": 1, "not run": 1}
        assert [row["number"] for row in run["clauses"]] == list(CLAUSES)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("schema",), 2),
            (("more",), 1),
            (("created_at",), "yesterday"),
            (("created_at",), "2026-01-02T03:04:05"),
            (("runs", 0, "level"), "gold"),
            (("runs", 0, "more"), 1),
            (("runs", 0, "profile"), "short"),
            (("runs", 0, "seeds"), []),
            (("runs", 0, "seconds"), -1),
            (("runs", 0, "selected"), ["values"]),
            (("runs", 0, "totals", "skipped"), 1),
            (("runs", 0, "cases"), []),
            (("runs", 0, "cases", 0, "outcome"), "skipped"),
            (("runs", 0, "cases", 0, "clauses"), []),
            (("runs", 0, "cases", 0, "clauses", 0), "two"),
            (("runs", 0, "cases", 0, "more"), 1),
            (("runs", 0, "cases", 2, "reason"), ""),
            (("runs", 0, "cases", 2, "capability"), None),
            (("runs", 0, "clauses", 0, "more"), 1),
            (("runs", 0, "capabilities", "processes", "supported"), "no"),
        ],
    )
    def test_the_schema_refuses(self, validator, path, value) -> None:
        data = json.loads(write(REPORT))
        *way, last = path
        place = data
        for step in way:
            place = place[step]
        place[last] = value
        with pytest.raises(ValidationError):
            validator.validate(data)

    def test_the_schema_documents_and_requires_every_property(self, validator) -> None:
        objects = [validator.schema, *validator.schema["$defs"].values()]
        objects.append(validator.schema["$defs"]["run"]["properties"]["totals"])
        for described in objects:
            assert described["description"]
            properties = described.get("properties", {})
            assert set(described.get("required", ())) == set(properties)
            assert all(value["description"] for value in properties.values())
            assert described.get("additionalProperties", False) is False

    def test_a_level_written_by_hand_is_not_believed(self) -> None:
        text = write(evolve(REPORT, runs=REPORT.runs[:1]))
        [run] = read(text.replace('"level": "none"', '"level": "full"')).runs
        assert run.level is Level.NONE

    def test_an_outcome_changed_by_hand_changes_the_level(self) -> None:
        text = write(evolve(REPORT, runs=REPORT.runs[1:]))
        [run] = read(text.replace('"outcome": "passed"', '"outcome": "failed"', 1)).runs
        assert run.level is Level.NONE

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "null",
            '"schema"',
            "{}",
            "[" * 100_000,
            '{"schema": 2}',
            '{"schema": 1}',
            '{"schema": 1, "suite_version": 1, "created_at": "2026-01-02T03:04:05Z", "runs": []}',
            '{"schema": 1, "suite_version": "1", "created_at": "2026-01-02T03:04", "runs": []}',
            '{"schema": 1, "suite_version": "1", "created_at": 5, "runs": []}',
            write(REPORT).replace('"outcome": "passed"', '"outcome": "fine"'),
            write(REPORT).replace('"operations": 7', '"operations": "7"'),
            write(REPORT).replace('"supported": false', '"supported": "false"'),
            write(REPORT)[:-20],
        ],
        ids=lambda text: text[:40],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError):
            read(text)


class TestMerging:
    def test_one_report_has_the_runs_of_all(self) -> None:
        later = evolve(REPORT, created_at=NOW.replace(year=2027), runs=REPORT.runs[1:])
        assert merge([REPORT, later]) == Report(
            "0.1.0", later.created_at, (*REPORT.runs, *later.runs)
        )

    def test_reports_of_two_versions_of_the_suite_are_not_compared(self) -> None:
        with pytest.raises(ConfigurationError, match=r"\['0.1.0', '0.2.0'\]"):
            merge([REPORT, evolve(REPORT, suite_version="0.2.0")])

    def test_there_must_be_one(self) -> None:
        with pytest.raises(ConfigurationError):
            merge([])


def earned(run: Run) -> str:
    first, *_ = summary(run)
    return first.removeprefix("mine 3.40 (test_it.py::TestIt): ")


class TestSummary:
    def test_of_a_run_that_earned_its_level(self) -> None:
        assert list(summary(run_of(PASSED, UNSUPPORTED))) == [
            "mine 3.40 (test_it.py::TestIt): level declared",
            "  1 passed, 0 failed, 1 unsupported, 0 not run; profile quick, seed 1, 2",
            "  7 random calls did what they do on the reference store",
            "  every clause is covered",
            "  without processes: memory <belongs> to one process",
        ]

    def test_of_a_run_that_earned_none(self) -> None:
        run = run_of(FAILED, NOT_RUN, driver=None, server_version=None, problems=("one\ntwo",))
        assert list(summary(run)) == [
            "test_it.py::TestIt (test_it.py::TestIt): level none",
            "  0 passed, 1 failed, 0 unsupported, 1 not run; profile quick, seed 1, 2",
            "  failed: clauses 2.5",
            "  one",
        ]

    def test_of_a_part_of_the_suite_that_passed(self) -> None:
        one, other = (evolve(PASSED, clauses=(number,)) for number in ("9.4", "9.5"))
        run = run_of(one, NOT_RUN, evolve(NOT_RUN, clauses=("2",)), selected=("9.4",))
        ending = "passed; no level, for a part of the suite earns none"
        assert earned(run) == f"1 of 2 cases of clause 9.4 {ending}"
        run = run_of(one, other, evolve(NOT_RUN, clauses=("3",)), selected=("9", "2.1"))
        assert earned(run) == f"2 of 2 cases of clauses 9, 2.1 {ending}"
        assert earned(run_of(one, NOT_RUN)) == f"1 of 2 cases {ending}"

    @pytest.mark.parametrize(
        "run",
        [
            run_of(PASSED, FAILED, NOT_RUN, selected=("9.4",)),
            run_of(PASSED, NOT_RUN, selected=("9.4",), problems=("a process ended",)),
            run_of(UNSUPPORTED, NOT_RUN, selected=("8.2",)),
            run_of(NOT_RUN, selected=("9.4",)),
        ],
        ids=["failed", "interrupted", "everything is left out", "nothing ran"],
    )
    def test_of_a_part_of_the_suite_that_did_not_pass(self, run: Run) -> None:
        assert earned(run) == "level none"

    def test_of_a_run_without_a_case_for_a_clause(self) -> None:
        run = run_of(evolve(PASSED, clauses=PASSED.clauses[2:], operations=0))
        assert list(summary(run))[2:] == ["  without a case: clauses 1.1, 1.2"]

    def test_a_reason_is_that_of_the_case(self) -> None:
        run = run_of(PASSED, UNSUPPORTED, capabilities={})
        assert "  without processes: memory <belongs> to one process" in list(summary(run))


class Page(HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    return render(REPORT)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


class TestPage:
    def test_it_needs_nothing_else(self, html: str, page: Page) -> None:
        tags = {tag for tag, _ in page.tags}
        assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base"})
        assert not re.search(r"https?:|@import|url\(|\son\w+=", html)
        assert all(a["href"].startswith("#") for tag, a in page.tags if tag == "a")

    def test_its_links_lead_somewhere(self, page: Page) -> None:
        targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} == targets

    def test_what_a_driver_says_is_text_and_no_markup(self, html: str, page: Page) -> None:
        assert "<script" not in html
        assert "&lt;script&gt;alert(&#39;1&#39;)" in html
        assert FAILED.failure is not None
        assert FAILED.failure in page.text
        assert "a process <ended>\nat once" in page.text

    def test_it_has_every_clause_and_every_run(self, page: Page) -> None:
        rows = re.findall(r"^(\d+(?:\.\d+)?) (.+)$", page.text, re.MULTILINE)
        assert dict(rows[: len(CLAUSES)]) == {
            number: title.splitlines()[0] for number, title in CLAUSES.items()
        }
        heads = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
        assert [head for head in heads if head[-2:] in {"-1", "-2"}] == ["#run-1", "#run-2"]
        assert page.text.count("level none") == page.text.count("level full") == 1

    def test_a_failed_case_is_shown_with_its_clause_and_its_script(self, page: Page) -> None:
        shown = page.text.partition("test_hostile[sync]")[2]
        assert shown.lstrip().startswith("clause 2.5")
        assert FAILED.script is not None
        assert FAILED.script in shown

    def test_each_outcome_has_a_sign_of_its_own(self, page: Page) -> None:
        for sign in ("✓ passed", "✗ failed", "– unsupported", "? not run"):
            assert sign in page.text

    def test_what_is_unsupported_has_a_sign_and_a_reason(self) -> None:
        alone = evolve(PASSED, clauses=tuple(c for c in PASSED.clauses if c != "8.2"))
        html = render(Report("0.1.0", NOW, (run_of(alone, UNSUPPORTED),)))
        assert re.search(r'8\.2 .*</th>\s*<td class="outcome unsupported"[^>]*>–</td>', html)
        assert "unsupported: memory <belongs> to one process" in Page(html).text

    def test_it_says_how_much_did_not_run(self, page: Page) -> None:
        assert "1 cases, of clauses 9.4." in page.text
