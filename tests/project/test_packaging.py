"""What is built is complete, and what is installed works outside of the repository."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tomllib
import venv
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from zipfile import Path as ZipPath
from zipfile import ZipFile

import pytest

from engine_store_contracts.report import read

pytestmark = pytest.mark.xdist_group("wheels")  # one worker, so that they are built once

SOURCES = {
    "engine-store": "core/src/engine_store",
    "engine-store-contracts": "contracts/src/engine_store_contracts",
    "engine-store-mariadb": "examples/mariadb_driver/src/engine_store_mariadb",
    "engine-store-memory": "drivers/memory/src/engine_store_memory",
    "engine-store-postgres": "drivers/postgres/src/engine_store_postgres",
    "engine-store-sqlite": "drivers/sqlite/src/engine_store_sqlite",
}
"""Every distribution, and where its one package is."""

USED_BY_NAME = {"engine-store-contracts": {"pytest_timeout", "pytest_xdist"}}
"""What a distribution needs without importing it: plugins of pytest."""

OF_EXTRAS = {"engine-store": {"opentelemetry", "rich", "typer", "yaml"}}
"""What only an extra brings."""


def stem(name: str) -> str:
    """The name of a distribution as its files spell it."""
    return name.replace("-", "_")


@pytest.fixture(scope="session")
def dist(tmp_path_factory, run) -> Path:
    """A folder with the wheels and source distributions of the whole workspace."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "scripts/uv.py", "build", "--all-packages", "--out-dir", folder)
    return folder


@pytest.fixture(params=sorted(SOURCES))
def name(request) -> str:
    """Each distribution in turn."""
    return request.param


@pytest.fixture
def wheel(dist: Path, name: str) -> Path:
    """The wheel of the distribution."""
    (found,) = dist.glob(f"{stem(name)}-*.whl")
    return found


@pytest.fixture
def metadata(wheel: Path) -> Distribution:
    """The metadata in the wheel."""
    return PathDistribution(ZipPath(wheel, "-".join(wheel.name.split("-")[:2]) + ".dist-info/"))


@pytest.fixture
def project(root: Path, name: str) -> dict:
    """What pyproject.toml says of the distribution."""
    folder = (root / SOURCES[name]).parents[1]
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_workspace_builds_these_distributions_and_no_others(dist):
    built = {path.name for path in dist.iterdir() if path.suffix in {".whl", ".gz"}}
    endings = ("-py3-none-any.whl", ".tar.gz")
    assert built == {f"{stem(name)}-0.1.0{ending}" for name in SOURCES for ending in endings}


def test_a_wheel_holds_every_file_of_its_package_and_nothing_else(wheel, name, root):
    source = root / SOURCES[name]
    expected = {
        str(path.relative_to(source.parent))
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with ZipFile(wheel) as archive:
        packed = {entry for entry in archive.namelist() if ".dist-info/" not in entry}
    assert packed == expected
    assert f"{source.name}/py.typed" in packed


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_the_wheel_of_a_driver_carries_its_migrations_and_queries(dist, driver):
    (wheel,) = dist.glob(f"engine_store_{driver}-*.whl")
    with ZipFile(wheel) as archive:
        folders = {Path(entry).parent.name for entry in archive.namelist() if entry[-4:] == ".sql"}
    assert folders == {"migrations", "queries"}


def test_a_wheel_says_what_its_pyproject_says(metadata, project, name):
    fields = metadata.metadata
    assert (fields["Name"], fields["Version"]) == (name, "0.1.0")
    assert fields["License-Expression"] == "MIT"
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["Summary"] == project["description"]
    assert fields["Description-Content-Type"] == "text/markdown"


def test_a_wheel_carries_the_licence_of_the_project(metadata, root):
    licence = (root / "LICENSE").read_text("utf-8")
    assert metadata.metadata.get_all("License-File") == ["LICENSE"]
    assert metadata.read_text("licenses/LICENSE") == licence


@pytest.mark.parametrize("name", ["engine-store"], indirect=True)
def test_engine_store_has_an_extra_for_each_other_distribution(metadata):
    wanted = {
        (extra, requirement.partition(";")[0].strip())
        for requirement in metadata.requires or []
        for extra in re.findall(r"extra == '(\w+)'", requirement)
    }
    assert wanted == {
        ("memory", "engine-store-memory==0.1.0"),
        ("sqlite", "engine-store-sqlite==0.1.0"),
        ("postgres", "engine-store-postgres[binary]==0.1.0"),
        ("contracts", "engine-store-contracts==0.1.0"),
        ("cli", "rich>=13.9"),
        ("cli", "typer>=0.15"),
        ("cli", "pyyaml>=6.0"),
        ("yaml", "pyyaml>=6.0"),
        ("all", "pyyaml>=6.0"),
        ("otel", "opentelemetry-api>=1.30"),
        ("all", "opentelemetry-api>=1.30"),
        ("all", "rich>=13.9"),
        ("all", "typer>=0.15"),
        ("all", "engine-store-memory==0.1.0"),
        ("all", "engine-store-sqlite==0.1.0"),
        ("all", "engine-store-postgres[binary]==0.1.0"),
        ("all", "engine-store-contracts==0.1.0"),
    }


def test_a_wheel_announces_what_others_discover(metadata, name):
    announced = {
        "engine-store": [("console_scripts", "engine-store", "engine_store.cli:main")],
        "engine-store-contracts": [
            ("engine_store.commands", "contracts", "engine_store_contracts.command:app"),
            ("pytest11", "engine_store_contracts", "engine_store_contracts.plugin"),
        ],
        "engine-store-mariadb": [
            ("engine_store.drivers", "mariadb", "engine_store_mariadb.driver:DRIVER")
        ],
        "engine-store-memory": [("engine_store.drivers", "memory", "engine_store_memory:DRIVER")],
        "engine-store-postgres": [
            ("engine_store.drivers", "postgres", "engine_store_postgres.driver:DRIVER"),
            ("engine_store.drivers", "postgresql", "engine_store_postgres.driver:DRIVER"),
        ],
        "engine-store-sqlite": [
            ("engine_store.drivers", "sqlite", "engine_store_sqlite.driver:DRIVER")
        ],
    }
    points = [(point.group, point.name, point.value) for point in metadata.entry_points]
    assert points == announced[name]


def test_a_distribution_requires_what_it_imports_and_nothing_else(project, name, root):
    source = root / SOURCES[name]
    imported = {
        module.partition(".")[0]
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for module in imports(node)
    }
    required = {stem(re.split(r"[=<>[]", needed)[0]) for needed in project["dependencies"]}
    third_party = imported - sys.stdlib_module_names - {source.name}
    assert required - USED_BY_NAME.get(name, set()) == third_party - OF_EXTRAS.get(name, set())


def imports(node: ast.AST) -> list[str]:
    """The modules a statement imports from outside of its package."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module]
    return []


@pytest.fixture
def five_lines(root: Path) -> str:
    """The README's code."""
    code = re.search(r"```python\n(.*?)```", (root / "README.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line]) == 5
    return code[1]


@pytest.fixture
def install(dist: Path, tmp_path: Path, root: Path, run: Callable[..., str]) -> Callable[..., Path]:
    """Installs wheels into an empty environment; its interpreter."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    constraints = tmp_path / "constraints.txt"
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    pinned = settings["tool"]["uv"]["constraint-dependencies"]
    constraints.write_text("\n".join([*pinned, *(f"{name}==0.1.0" for name in SOURCES)]))

    def install(*wanted: str) -> Path:
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-input")
        options = ("--no-compile", "--find-links", dist, "--constraint", constraints)
        run(*pip, *options, *wanted, cwd=tmp_path)
        return python

    return install


@pytest.mark.parametrize(
    "wanted", [["engine-store", "engine-store-sqlite"], ["engine-store[sqlite]"]], ids=" ".join
)
def test_an_empty_environment_with_the_wheels_runs_the_five_lines(
    wanted, install, five_lines, tmp_path, run
):
    assert run(install(*wanted), "-I", "-c", five_lines, cwd=tmp_path) == "PENDING 1\n"
    assert (tmp_path / "engine.db").stat().st_mode & 0o777 == 0o600


def test_with_another_extra_and_another_url_the_five_lines_run_on_postgresql(
    install, five_lines, tmp_path, run, postgres_store_url
):
    code = five_lines.replace("sqlite:///engine.db", postgres_store_url)
    assert run(install("engine-store[postgres]"), "-I", "-c", code, cwd=tmp_path) == "PENDING 1\n"
    assert not (tmp_path / "engine.db").exists()


def test_a_driver_is_proven_from_wheels_alone(install, root, tmp_path, run):
    programs = install("engine-store[memory,contracts]").parent
    paths = ("--json", "report.json", "--html", "report.html")
    command = (programs / "engine-store", "conformance", "memory://proof", *paths, "--jobs", "2")
    assert "level declared" in run(*command, cwd=tmp_path)
    proven = read((tmp_path / "report.json").read_text("utf-8")).runs[0]
    assert "memory" in (tmp_path / "report.html").read_text("utf-8")
    unsupported = {case.capability for case in proven.cases if case.capability}
    assert (proven.uncovered, unsupported) == ((), {"processes", "migrations"})

    report = tmp_path / "of-its-tests.json"
    tests = shutil.copy(root / "tests" / "contract" / "test_memory.py", tmp_path)
    run(programs / "pytest", tests, "-k", "health", f"--contract-json={report}", cwd=tmp_path)
    of_its_tests = read(report.read_text("utf-8")).runs[0]
    assert {case.id for case in of_its_tests.cases} == {case.id for case in proven.cases}
