"""The figures in the documentation are what the benchmarks wrote, and all of them are shown."""

from __future__ import annotations

import importlib
import json
import re
from itertools import product
from pathlib import Path

import pytest

STUDIES = [
    "ratio",
    "concurrent",
    "work",
    "rows",
    "large",
    "telemetry",
    "keys",
    "transfer",
    "imports",
]

INCLUDED = re.compile(r"^```{include} measured/(\S+)$", re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
NAMED = re.compile(r"(?<=[\"#])[a-z]+[0-9a-f]{10}\b")
"""Names inside of a picture, which hang on all digits of what they name."""


@pytest.fixture(scope="module")
def measured(root) -> Path:
    """The folder of the figures."""
    return root / "docs" / "measured"


@pytest.fixture(params=STUDIES)
def study(request) -> str:
    """Each study in turn."""
    return request.param


@pytest.fixture
def found(study, measured) -> dict:
    """Its report."""
    return json.loads((measured / f"{study}.json").read_text("utf-8"))


@pytest.fixture
def pages(root, found, monkeypatch) -> dict[str, str]:
    """What the benchmarks make of that report now."""
    monkeypatch.syspath_prepend(root)
    return importlib.import_module("benchmarks.report").pages(found)


def test_there_are_the_files_of_the_studies_and_no_others(measured):
    ends = (".json", ".md", "-light.svg", "-dark.svg")
    expected = {f"{study}{end}" for study, end in product(STUDIES, ends)}
    assert {path.name for path in measured.iterdir() if path.is_file()} == expected


def test_the_page_is_what_the_report_gives(pages, study, measured):
    page = (measured / f"{study}.md").read_text("utf-8")
    assert page == pages[f"{study}.md"], "python -m benchmarks.report docs/measured makes it anew"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_what_the_report_gives(pages, study, theme, measured):
    name = f"{study}-{theme}.svg"
    shown, expected = (measured / name).read_text("utf-8"), pages[name]
    # Digits that nobody can see may differ from one processor or library to another.
    assert drawn(shown)[0] == drawn(expected)[0], "python -m benchmarks.report docs/measured"
    assert drawn(shown)[1] == pytest.approx(drawn(expected)[1], abs=0.01)


def drawn(picture: str) -> tuple[str, list[float]]:
    """A picture without its numbers, and the numbers."""
    text = NAMED.sub("", picture)
    return NUMBER.sub("0", text), [float(number) for number in NUMBER.findall(text)]


def test_the_figures_are_of_a_whole_run(found, study):
    assert found["command"] == f"python -m benchmarks {study}"


def test_a_page_includes_figures_that_are_there_and_one_includes_them_all(root, measured):
    included = {
        path.name: INCLUDED.findall(path.read_text("utf-8"))
        for path in (root / "docs").glob("*.md")
    }
    assert included["benchmarks.md"] == [f"{study}.md" for study in STUDIES]
    assert all((measured / name).is_file() for names in included.values() for name in names)


def test_the_pictures_of_a_page_lie_where_a_page_of_the_documentation_looks_for_them(
    pages, study, root
):
    pictures = re.findall(r"^```{image} (\S+)$", pages[f"{study}.md"], re.MULTILINE)
    assert len(pictures) == 2
    assert all((root / "docs" / picture).is_file() for picture in pictures)
