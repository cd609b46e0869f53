"""Whatever a configuration is made of, it is loaded or refused by an error of the store.

`CONFIGURATIONS` in the environment makes more of them than the usual run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from engine_store import Config, load
from engine_store.errors import EngineStoreError
from engine_store.startup import findings

NAMES = [
    *("database", "worker", "knowledge", "url", "driver", "path", "base_dir", "options", "port"),
    *("busy_timeout", "auto_migrate", "max_document_bytes", "read_only", "password", "host"),
    *(
        "pool_max_size",
        "schema",
        "conn_string",
        "max_concurrent_workflows",
        "provider",
        "databases",
    ),
    *("Database", "URL", "<<", "on", "null", "1", "", "é", "a.b", "x" * 300, "\x00"),
]
TEXTS = [
    *("sqlite:///engine.db", "postgresql://ada:pw@127.0.0.1:1/x", "memory://", "mysql://x", "://"),
    *(
        "on",
        "off",
        "yes",
        "no",
        "true",
        "null",
        "~",
        "0o17",
        "017",
        "1:30",
        "1e3",
        "5s",
        "2m",
        "-1",
    ),
    *("9" * 40, "1.5", "nan", "inf", "", " ", "\n", "\x00", "\ufeff", "\udcff", "é", "日本", "[1]"),
    *("{}", "{", "&a", "*a", "!!python/object:os.system", "${HOME}", "${", "$${X}", "${NOPE}", "#"),
    *("/dev/null", "/", ".", "~", "~nobody-here/x", "..", "x" * 5000, "file:x?mode=ro", ":memory:"),
]


def value(chance: random.Random, depth: int = 3) -> Any:
    """Anything that YAML, TOML or JSON can say."""
    kind = chance.randrange(9 if depth else 6)
    if kind < 3:
        return chance.choice(TEXTS)
    if kind < 6:
        return chance.choice([None, True, False, 0, 1, -1, 8, 2**63, 1.5, float("nan"), b"x"])
    if kind == 6:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): value(chance, depth - 1) for _ in range(chance.randrange(4))}


def shown(made: Any, form: str, depth: int = 0) -> str:
    """The value as a file may have it, well or badly written."""
    if isinstance(made, dict) and form == "yaml":
        pad = "  " * depth
        lines = (f"{pad}{name}: {shown(item, form, depth + 1)}" for name, item in made.items())
        return "\n" + "\n".join(lines)
    if isinstance(made, dict) and depth == 0:
        return "\n".join(f"[{name}]\n{shown(item, form, 1)}" for name, item in made.items())
    if isinstance(made, dict) and depth == 1:
        return "\n".join(f"{name} = {shown(item, form, 2)}" for name, item in made.items())
    return str(made)


def mutated(chance: random.Random, text: bytes) -> bytes:
    """The bytes with a few of them changed, lost, or doubled."""
    changed = bytearray(text)
    for _ in range(chance.randrange(4)):
        if changed:
            place = chance.randrange(len(changed))
            what = chance.randrange(3)
            if what == 0:
                changed[place] = chance.randrange(256)
            elif what == 1:
                del changed[place : place + chance.randrange(1, 9)]
            else:
                changed[place:place] = changed[place : place + 20]
    return bytes(changed)


def tree(chance: random.Random) -> dict[str, Any]:
    """Sections and settings, most of them known."""
    sections = chance.choices(["database", "database", "worker", "knowledge", *NAMES[-9:]], k=3)
    settings = ("url", "driver", "path", "host", "port", "busy_timeout", "pool_max_size")
    known = {name: chance.choice(TEXTS) for name in chance.choices(settings, k=2)}
    return {name: chance.choice([known, value(chance)]) for name in sections}


def test_no_configuration_ends_in_an_error_that_is_not_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    for number in range(int(os.environ.get("CONFIGURATIONS", "1500"))):
        form = chance.choice(["yaml", "toml"])
        file = tmp_path / f"engine.{form}"
        written = shown(tree(chance), form).encode(errors="surrogateescape")
        file.write_bytes(mutated(chance, written))
        variables = {
            f"ENGINE_STORE_{chance.choice(['DATABASE_', 'WORKER_', ''])}{name.upper()}": text
            for name, text in zip(
                chance.choices(NAMES, k=2), chance.choices(TEXTS, k=2), strict=True
            )
        }
        given = {
            "file": chance.choice([file, file, None, tmp_path, tmp_path / "none.yaml"]),
            "environment": chance.choice([{}, variables]),
            "arguments": chance.choice([None, tree(chance)]),
        }
        try:
            made = load(**given)
            assert type(made) is Config
            list(findings(made))
        except EngineStoreError as error:
            assert str(error), (seed, number, given)
        except Exception as error:
            error.add_note(f"seed {seed}, number {number}: {given}\n{file.read_bytes()!r}")
            raise
