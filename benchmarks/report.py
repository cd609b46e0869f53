"""What is written: the report of a study for programs, and its page and pictures for people.

    python -m benchmarks.report FOLDER

makes the pages and pictures of the reports in a folder anew, and measures nothing.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from benchmarks import plots
from benchmarks.databases import Databases
from benchmarks.studies import STUDIES
from benchmarks.study import Options, Report, Study, Table

PICTURE = """```{{image}} measured/{name}-{theme}.svg
:class: only-{theme}
:align: center
:width: 560px
:alt: {title}
```
"""
"""For a page of the documentation that includes this one: the path is seen from there."""


def machine() -> dict[str, object]:
    """What a figure depends on; nothing that names the machine or its places."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpus": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def complete(
    study: Study,
    found: Report,
    command: str,
    date: datetime,
    options: Options,
    databases: Mapping[str, Databases],
) -> Report:
    """What a study found, behind what it was found with."""
    engines = [databases[driver].engine for driver in options.drivers]
    effort = {"rounds": options.effort.rounds, "seconds": options.effort.seconds}
    return {
        "study": study.NAME,
        "title": study.TITLE,
        "command": command,
        "date": date.isoformat(timespec="seconds"),
        "machine": machine(),
        "databases": {
            engine.driver: {"title": engine.title, "bare": engine.bare, **engine.facts}
            for engine in engines
        },
        **found,
        "parameters": {**effort, **found.get("parameters", {})},
    }


def measured_by(report: Report) -> str:
    """The line that says how to measure it again, and what it was measured with."""
    machine = report["machine"]
    facts = [
        f"{machine['cpus']} CPUs",
        machine["python"],
        *(engine["title"] for engine in report["databases"].values()),
        *(f"{name} {version}" for name, version in report.get("libraries", {}).items()),
        report["date"][:10],
    ]
    return (
        f"Measured by `{report['command']}` on {', '.join(facts)}; "
        f"{machine['architecture']} {machine['system']}."
    )


def as_json(report: Report) -> str:
    """The report as its file has it."""
    return json.dumps(report, indent=2) + "\n"


def pages(report: Report) -> dict[str, str]:
    """The page and the pictures of a report, by the names of their files."""
    study = STUDIES[report["study"]]
    files = {f"{study.NAME}.md": _page(study, report)}
    for theme in plots.THEMES:
        with plots.drawing(theme):
            files[f"{study.NAME}-{theme.name}.svg"] = plots.svg(study.plot(report, theme))
    return files


def _page(study: Study, report: Report) -> str:
    pictures = [
        PICTURE.format(name=study.NAME, theme=theme.name, title=report["title"])
        for theme in plots.THEMES
    ]
    tables = [_markdown(table) for table in study.tables(report)]
    lines = [f"{line}\n" for line in (*study.remarks(report), measured_by(report))]
    return "\n".join([*pictures, *tables, *lines])


def _markdown(table: Table) -> str:
    shown = [place for place, name in enumerate(table.columns) if name not in table.wide]
    rows = [table.columns, ("---", *["--:"] * (len(table.columns) - 1)), *table.rows]
    lines = ["| " + " | ".join(str(row[place]) for place in shown) + " |" for row in rows]
    return "\n".join([f"**{table.title}**", "", *lines, ""])


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their names into a folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def main(arguments: list[str]) -> int:
    """Write the pages of each report in a folder."""
    folder = Path(*arguments[:1])
    reports = sorted(folder.glob("*.json"))
    if len(arguments) != 1 or not reports:
        print("usage: python -m benchmarks.report FOLDER, one with reports", file=sys.stderr)
        return 2
    for path in reports:
        write(folder, pages(json.loads(path.read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
