"""Numbered migrations: loading, checksums, and the planner (contract 8)."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_store.errors import (
    ConfigurationError,
    MigrationDriftError,
    SchemaAheadError,
    SchemaBehindError,
)
from engine_store.migrations import (
    Applied,
    Direction,
    Migration,
    MigrationPlan,
    MigrationStatus,
    check_current,
    check_history,
    current_version,
    load_migrations,
    plan,
    status,
)

NOW = datetime(2024, 5, 6, tzinfo=UTC)
STEPS = tuple(
    Migration(number, name, f"CREATE {name};", f"DROP {name};")
    for number, name in enumerate(["users", "workflows", "tasks"], start=1)
)


def applied(*steps: Migration) -> list[Applied]:
    return [Applied(step.version, step.name, step.checksum, NOW) for step in steps]


# --- loading -----------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of the files given by name, and returns the package's name."""

    def make(files: dict[str, str | bytes]) -> str:
        folder = tmp_path / "fake_migrations"
        folder.mkdir()
        for name, content in {"__init__.py": "", **files}.items():
            text = content if isinstance(content, bytes) else content.encode()
            (folder / name).write_bytes(text)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return folder.name

    yield make
    sys.modules.pop("fake_migrations", None)


USERS = {"0001_users.up.sql": "CREATE users;", "0001_users.down.sql": "DROP users;"}
TASKS = {"0002_more_tasks.up.sql": "CREATE é;", "0002_more_tasks.down.sql": "DROP é;"}


def test_the_steps_of_a_package_are_loaded_in_order(package):
    assert load_migrations(package({**TASKS, **USERS})) == (
        Migration(1, "users", "CREATE users;", "DROP users;"),
        Migration(2, "more_tasks", "CREATE é;", "DROP é;"),
    )


def test_other_files_are_no_steps(package):
    others = {"README.md": "x", "0002_x.sql": "x", "2_x.up.sql": "x", "0002_x.up.sql~": "x"}
    assert [step.version for step in load_migrations(package({**USERS, **others}))] == [1]


def test_a_package_may_have_no_steps(package):
    assert load_migrations(package({})) == ()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (TASKS, 1),
        ({**USERS, "0003_x.up.sql": "x", "0003_x.down.sql": "x"}, 2),
        ({"0000_x.up.sql": "x", "0000_x.down.sql": "x", **USERS}, 1),
        ({**USERS, "0001_other.up.sql": "x", "0001_other.down.sql": "x"}, 2),
        ({**USERS, "0002_x.up.sql": "x"}, 2),
        ({**USERS, "0002_x.down.sql": "x"}, 2),
        ({**USERS, "0002_x.up.sql": "x", "0002_y.down.sql": "x"}, 2),
        ({**USERS, "0002_x.up.sql": "x", "0002_x.down.sql": ""}, 2),
    ],
    ids=[
        "first missing",
        "gap",
        "from zero",
        "number doubled",
        "down missing",
        "up missing",
        "names differ",
        "down empty",
    ],
)
def test_steps_are_numbered_from_1_without_gaps_and_have_both_files(package, files, expected):
    name = package(files)
    with pytest.raises(ConfigurationError) as caught:
        load_migrations(name)
    assert caught.value.field == name
    assert caught.value.reason.startswith(f"expected step {expected} with .up.sql and .down.sql")


def test_line_endings_do_not_matter_to_what_is_loaded(package):
    files = {"0001_x.up.sql": b"CREATE\r\nx;\r\n", "0001_x.down.sql": b"DROP x;\n"}
    (step,) = load_migrations(package(files))
    assert step.checksum == Migration(1, "x", "CREATE\nx;\n", "DROP x;\r\n").checksum


# --- checksums ---------------------------------------------------------------------------------

SQL = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


@given(SQL, SQL)
def test_the_checksum_ignores_line_endings(up, down):
    unix = Migration(1, "x", up, down)
    windows = Migration(1, "x", up.replace("\n", "\r\n"), down.replace("\n", "\r\n"))
    assert unix.checksum == windows.checksum
    assert len(unix.checksum) == 64


@given(SQL, SQL, SQL, SQL)
def test_the_checksum_tells_every_other_content_apart(up, down, other_up, other_down):
    one, other = Migration(1, "x", up, down), Migration(1, "x", other_up, other_down)
    assert (one.checksum == other.checksum) is ((up, down) == (other_up, other_down))


def test_the_checksum_covers_the_name_and_not_the_number():
    step = Migration(1, "x", "up", "down")
    assert Migration(1, "y", "up", "down").checksum != step.checksum
    assert Migration(2, "x", "up", "down").checksum == step.checksum


def test_the_sql_of_a_step_is_not_in_its_repr():
    assert repr(STEPS[0]) == "Migration(version=1, name='users')"


# --- where a database is -----------------------------------------------------------------------


@pytest.mark.parametrize("count", range(4))
def test_the_version_of_a_database_is_its_newest_step(count):
    assert current_version(applied(*STEPS[:count])) == count
    assert current_version(applied(*reversed(STEPS[:count]))) == count


def test_the_status_has_every_step_of_the_code_and_its_time():
    assert status(STEPS, applied(*STEPS[:2])) == (
        MigrationStatus(1, "users", NOW),
        MigrationStatus(2, "workflows", NOW),
        MigrationStatus(3, "tasks", None),
    )
    assert status((), applied(STEPS[0])) == ()


@pytest.mark.parametrize("count", range(4))
def test_a_history_is_the_beginning_of_the_steps_in_any_order(count):
    check_history(STEPS, applied(*STEPS[:count]))
    check_history(STEPS, applied(*reversed(STEPS[:count])))


def test_a_database_newer_than_the_code_is_ahead():
    for check in (check_history, check_current, plan):
        with pytest.raises(SchemaAheadError) as caught:
            check(STEPS[:1], applied(*STEPS))
        assert (caught.value.database, caught.value.code) == (3, 1)


def test_ahead_comes_before_drift():
    changed = Migration(1, "users", "CREATE other;", "DROP users;")
    with pytest.raises(SchemaAheadError):
        check_history(STEPS[:1], applied(changed, STEPS[1]))


@pytest.mark.parametrize(
    "changed",
    [
        Migration(2, "workflows", "CREATE other;", "DROP workflows;"),
        Migration(2, "workflows", "CREATE workflows;", "DROP other;"),
        Migration(2, "renamed", "CREATE workflows;", "DROP workflows;"),
    ],
)
def test_an_applied_step_that_changed_is_drift(changed):
    for check in (check_history, check_current, plan):
        with pytest.raises(MigrationDriftError) as caught:
            check(STEPS, applied(STEPS[0], changed, STEPS[2]))
        assert caught.value.differences == (
            f"step 2 was applied as {changed.name!r} with another checksum",
        )


def test_a_skipped_step_is_drift():
    with pytest.raises(MigrationDriftError) as caught:
        check_history(STEPS, applied(STEPS[2]))
    assert caught.value.differences == ("step 1 was skipped", "step 2 was skipped")


def test_all_differences_are_told_at_once():
    changed = Migration(3, "tasks", "CREATE other;", "DROP tasks;")
    with pytest.raises(MigrationDriftError) as caught:
        check_history(STEPS, applied(STEPS[0], changed))
    assert caught.value.differences == (
        "step 3 was applied as 'tasks' with another checksum",
        "step 2 was skipped",
    )


@pytest.mark.parametrize("number", [0, -1])
def test_an_applied_step_with_a_number_no_step_has_is_drift(number):
    stray = Migration(number, "stray", "x", "x")
    with pytest.raises(MigrationDriftError) as caught:
        check_history(STEPS, applied(stray, *STEPS))
    assert caught.value.differences == (
        f"step {number} was applied as 'stray' with another checksum",
    )


@pytest.mark.parametrize("count", range(3))
def test_a_database_with_steps_missing_is_behind(count):
    with pytest.raises(SchemaBehindError) as caught:
        check_current(STEPS, applied(*STEPS[:count]))
    assert (caught.value.database, caught.value.code) == (count, 3)


def test_a_database_with_every_step_is_current():
    check_current(STEPS, applied(*STEPS))
    check_current((), [])


# --- plans -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("target", range(4))
def test_a_plan_goes_from_where_a_database_is_to_its_target(count, target):
    found = plan(STEPS, applied(*STEPS[:count]), target)
    if target >= count:
        assert found == MigrationPlan(Direction.UP, STEPS[count:target])
        assert found.sql == "\n".join(step.up_sql for step in STEPS[count:target])
    else:
        assert found == MigrationPlan(Direction.DOWN, STEPS[target:count][::-1])
        assert found.sql == "\n".join(step.down_sql for step in STEPS[target:count][::-1])


@pytest.mark.parametrize("count", range(4))
def test_without_a_target_a_plan_goes_to_the_newest_step(count):
    rows = applied(*STEPS[:count])
    assert plan(STEPS, rows) == plan(STEPS, rows, 3)


def test_the_sql_of_a_plan_is_its_steps_one_after_the_other():
    assert plan(STEPS, [], 2).sql == "CREATE users;\nCREATE workflows;"
    assert plan(STEPS, applied(*STEPS), 1).sql == "DROP tasks;\nDROP workflows;"
    assert plan(STEPS, applied(*STEPS)).sql == ""


@pytest.mark.parametrize("target", [-1, 4, 100])
def test_a_target_that_is_no_step_is_refused(target):
    with pytest.raises(ConfigurationError) as caught:
        plan(STEPS, [], target)
    assert caught.value.field == "target"
    assert caught.value.reason == f"expected 0 to 3, found {target}"
