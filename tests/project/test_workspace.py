"""The workspace itself: one version of everything, and targets that explain themselves."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest

import engine_store
from engine_store import Status

WORKSPACE = {
    "engine-store",
    "engine-store-contracts",
    "engine-store-mariadb",
    "engine-store-memory",
    "engine-store-postgres",
    "engine-store-sqlite",
}


@pytest.fixture(scope="session")
def pins(root: Path) -> dict[str, str]:
    """The version of every pinned package by its name."""
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    return dict(pin.split("==") for pin in settings["constraint-dependencies"])


def test_everything_installed_has_the_version_that_is_pinned(pins):
    found = {normal(one.name): one.version for one in distributions() if one.name}
    unpinned = {
        name: version
        for name, version in found.items()
        if name not in WORKSPACE and pins.get(name) != version
    }
    assert unpinned == {}


def test_nothing_is_pinned_that_nobody_needs(pins, root):
    lock = tomllib.loads((root / "uv.lock").read_text("utf-8"))
    needed = {package["name"] for package in lock["package"] if "registry" in package["source"]}
    assert set(pins) == needed


def test_a_package_is_pinned_alike_for_running_and_for_building(pins, root):
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
    building = dict(pin.split("==") for pin in settings["build-constraint-dependencies"])
    assert {name: building[name] for name in building if name in pins} == {
        name: pins[name] for name in building if name in pins
    }


def normal(name: str) -> str:
    """The name of a distribution as an index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_make_help_lists_every_target(root, run):
    phony = re.search(r"^\.PHONY: (.*)$", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    assert re.findall(r"make (\w+) ", run("make", "help")) == phony[1].split()
    assert run("make") == run("make", "help")


def test_make_demo_takes_a_folder_of_texts(root, run, tmp_path):
    (tmp_path / "a text.md").write_text("One sentence. And another one.")
    store = f"sqlite:///{tmp_path}/demo.db"
    *_, command = run("make", "-n", "demo", f"INPUT={tmp_path}").splitlines()
    assert "a text.md" in run("sh", "-c", f"{command} --store {store}")
    with engine_store.open(store) as opened:
        [workflow] = opened.workflows.list().items
    assert workflow.input["source"] == str(tmp_path)
    assert workflow.status is Status.SUCCESS


# --- scripts/uv.py: the set-up -----------------------------------------------------------------


@pytest.fixture
def setup(root) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("setup_script", root / "scripts" / "uv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_older_python_is_refused_in_one_line(root, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(sys, "version", "3.10.4 (main)")
    code = compile((root / "scripts" / "uv.py").read_text("utf-8"), "uv.py", "exec")
    with pytest.raises(SystemExit) as caught:
        exec(code, {"__name__": "__main__", "__file__": str(root / "scripts" / "uv.py")})
    assert caught.value.code == "engine-store needs Python 3.11 or newer; this is 3.10.4"


def test_what_pip_is_told_uv_is_told(setup, tmp_path, monkeypatch):
    for name in ("CERT", "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\ncert = corporate.pem\nindex-url = https://index.invalid/a\n"
        "extra-index-url =\n  https://index.invalid/b\n  https://index.invalid/c\n"
        "[download]\nfind-links = elsewhere\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels more-wheels")
    settings = setup.pip_settings()
    assert settings["SSL_CERT_FILE"] == "corporate.pem"
    assert settings["UV_DEFAULT_INDEX"] == "https://index.invalid/a"
    assert settings["UV_INDEX"] == "https://index.invalid/b https://index.invalid/c"
    assert settings["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert settings["UV_FIND_LINKS"] == "wheels,more-wheels"


def test_a_setting_in_the_environment_wins_over_the_file(setup, tmp_path, monkeypatch):
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\ncert = of-the-file.pem\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_CERT", "of-the-environment.pem")
    assert setup.pip_settings()["SSL_CERT_FILE"] == "of-the-environment.pem"


@pytest.mark.parametrize(
    ("says", "recent"),
    [("uv 0.13.9 (some build)", True), ("uv 1.0.0", True), ("uv 0.4.30", False), ("", False)],
)
def test_a_uv_that_is_too_old_or_broken_is_not_used(setup, tmp_path, says, recent):
    fake = tmp_path / "uv"
    fake.write_text(f"#!/bin/sh\n{'echo ' + repr(says) if says else 'exit 1'}\n")
    fake.chmod(0o755)
    assert setup.is_recent(str(fake)) is recent
