"""The pages of reference say what the code has: each setting, and each command."""

from __future__ import annotations

import re
import tomllib

import pytest
import typer
import yaml

import engine_store
from engine_store.cli.app import command_line
from reference import tables


@pytest.mark.parametrize("heading", tables())
def test_each_setting_is_described_as_the_model_has_it(root, heading):
    page = (root / "docs" / "configuration.md").read_text("utf-8")
    section = page.partition(f"\n{heading}\n\n")[2].partition("\n#")[0]
    assert tables()[heading] in section, "python scripts/reference.py prints the tables"


@pytest.mark.parametrize(("language", "read"), [("yaml", yaml.safe_load), ("toml", tomllib.loads)])
def test_the_examples_of_files_are_valid(root, tmp_path, language, read):
    page = (root / "docs" / "configuration.md").read_text("utf-8")
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    file = tmp_path / f"engine.{language}"
    file.write_text(text)
    config = engine_store.load(file, environment={"DB_PASSWORD": "secret"})
    assert config.knowledge is not None
    assert [db.id for db in config.knowledge.vector_dbs] == ["notes"]
    assert set(read(text)) <= {"database", "worker", "knowledge"}


def commands(group: typer.Typer, path: tuple[str, ...] = ()) -> set[str]:
    """Every command below a group, as it is typed."""
    found = set()
    command = typer.main.get_command(group)
    context = typer.Context(command)
    for name in command.list_commands(context):
        below = getattr(command.get_command(context, name), "commands", None)
        names = (*path, name)
        found |= {" ".join(names)} if below is None else {" ".join((*names, n)) for n in below}
    return found


def test_each_command_is_on_its_page(root):
    page = (root / "docs" / "command-line.md").read_text("utf-8")
    shown = re.findall(r"^engine-store (.*)$", page, re.MULTILINE)
    missing = {
        command
        for command in commands(command_line())
        if not any(line == command or line.startswith(f"{command} ") for line in shown)
    }
    assert missing == set()
