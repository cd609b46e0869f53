"""What the documents say is true: their code runs, their commands and their links exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from attrs import frozen
from typer.testing import CliRunner

from engine_store.cli.app import command_line
from mariadb_server import why_missing

ROOT = Path(__file__).resolve().parents[2]

PROVEN_ELSEWHERE = {
    'pip install "engine-store[sqlite]"',
    'pip install --find-links dist "engine-store[sqlite]"',
    'pip install "engine-store[memory]"',
    'pip install --find-links dist "engine-store[memory,contracts]"',
}
"""Commands of the documents that `test_packaging.py` runs on the wheels it builds."""

BLOCK = re.compile(
    r"^```(\w+)(?: (\S+))?\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)#\s]+)")
MACHINE = re.compile(r"(?<![\w.~/])/(home|root|Users|work|opt|mnt|private)/[\w.-]+")
REGISTRY = re.compile(r"py[p]i\.|python[h]osted|/simpl[e]\b", re.IGNORECASE)


def kept_files() -> Iterator[Path]:
    """Every file that is, or is about to be, under version control."""
    listed = ("git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return (ROOT / name for name in names.split("\0") if (ROOT / name).is_file())


DOCUMENTS = sorted(path for path in kept_files() if path.suffix == ".md")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request) -> Path:
    """Each document in turn."""
    return request.param


@frozen
class Block:
    """A block of code: ```language file. Where `output` is not None, it is what the code prints.

    With a file it is an excerpt of it; `./file` is one that the reader makes, in their folder.
    """

    language: str
    file: str | None
    code: str
    output: str | None
    line: int

    @property
    def of_the_reader(self) -> bool:
        """Whether it is a file to be made."""
        return self.file is not None and self.file.startswith("./")


def blocks(document: Path) -> Iterator[Block]:
    """The blocks of code in a document, in order."""
    text = document.read_text("utf-8")
    for found in BLOCK.finditer(text):
        language, file, code, output = found.groups()
        yield Block(language, file, code, output, text.count("\n", 0, found.start(3)) + 1)


def test_a_document_does_what_it_shows_from_top_to_bottom(document, tmp_path, monkeypatch):
    """Its Python and its commands run in one folder, and print what stands behind them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for block in blocks(document):
        if block.language == "python" and block.file is None:
            padded = "\n" * (block.line - 1) + block.code  # errors then point into the document
            with redirect_stdout(StringIO()) as printed:
                exec(compile(padded, document, "exec", dont_inherit=True), names)
            assert block.output in (None, printed.getvalue()), f"{document}:{block.line}"
        elif block.language == "console":
            shown = re.split(r"^\$ (.*)\n", block.code, flags=re.MULTILINE)[1:]
            for command, output in zip(shown[::2], shown[1::2], strict=True):
                assert answer(command) == output, f"{document}:{block.line}"
        elif block.of_the_reader:
            Path(block.file).write_text(block.code)


def answer(command: str) -> str:
    """What a command prints in the working directory, errors included."""
    done = subprocess.run(
        command,
        shell=True,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # A note is given on some machines.
    return re.sub(r"^note .*the WAL-reset bug.*\n", "", done.stdout, flags=re.MULTILINE)


def test_an_excerpt_is_what_the_file_says(document):
    for block in blocks(document):
        if block.file is not None and not block.of_the_reader:
            text = (ROOT / block.file).read_text("utf-8")
            indented = textwrap.indent(block.code, "    ")
            assert block.code in text or indented in text, f"{document}:{block.line}"


COLLECTED: set[str] = set()
"""Commands of pytest that were looked at: several documents have the same."""


@pytest.mark.xdist_group("commands")
def test_every_command_of_a_document_is_known_to_work(document, run, monkeypatch):
    targets = set(re.findall(r"make (\w+)", run("make", "help")))
    scripts = [block.code for block in blocks(document) if block.language == "sh"]
    for line in "".join(scripts).splitlines():
        command = line.partition("#")[0].strip()
        if target := re.match(r"make (\w+)", command):
            assert target[1] in targets, line
        elif re.match(r"(\.venv/bin/)?pytest ", command):
            if "mariadb" in command and why_missing() is not None:
                continue  # the module is skipped, and says why
            if command not in COLLECTED:
                run(sys.executable, "-m", "pytest", *shlex.split(command)[1:], "--collect-only")
            COLLECTED.add(command)
        elif re.match(r"(\.venv/bin/)?python -m benchmarks\b(?!\.)", command):
            monkeypatch.syspath_prepend(ROOT)
            with pytest.raises(SystemExit) as ended:  # its arguments exist; other tests run it
                importlib.import_module("benchmarks.cli").main(
                    [*shlex.split(command)[3:], "--help"]
                )
            assert ended.value.code == 0, line
        elif command.startswith("engine-store "):  # its arguments exist; other tests run it
            done = CliRunner().invoke(command_line(), [*shlex.split(command)[1:], "--help"])
            assert done.exit_code == 0, f"{line}\n{done.output}"
        elif command.startswith("python examples/"):  # it is there, and has these options
            _, example, *arguments = shlex.split(command)
            options = {word.partition("=")[0] for word in arguments if word.startswith("-")}
            assert options <= set(re.findall(r"-[\w-]+", run(sys.executable, example, "--help")))
        elif command:
            assert command in PROVEN_ELSEWHERE, line


def test_the_links_of_a_document_lead_to_files_of_the_project(document):
    links = [link for link in LINK.findall(document.read_text("utf-8")) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_no_file_names_a_machine_or_a_registry():
    for path in kept_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found = MACHINE.search(text) or REGISTRY.search(text)
        assert found is None, f"{path}: {found[0] if found else ''}"
