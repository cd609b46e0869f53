"""Finding drivers among installed distributions: entry points, and errors that name the remedy."""

from __future__ import annotations

import sys

import pytest

from engine_store.drivers.discovery import driver_settings, installed_drivers, load_driver
from engine_store.errors import DriverLoadError, UnknownDriverError

GOOD = """
    class Driver:
        name = "good"

        def capabilities(self, config): ...
        def scratch(self, url): ...
        def open(self, config, context): ...
        async def open_async(self, config, context): ...

    DRIVER = Driver()
"""
POINTS = "[engine_store.drivers]\n"


@pytest.fixture
def good(distributions):
    distributions("engine-store-good", f"{POINTS}good = fake_good:DRIVER", {"fake_good": GOOD})


# --- what is installed -------------------------------------------------------------------------


def test_without_distributions_no_driver_is_installed(distributions):
    assert installed_drivers() == ()


def test_installed_drivers_are_listed_by_name_and_none_is_loaded(distributions):
    distributions("x-two", f"{POINTS}zulu = fake_zulu\nalpha = fake_alpha", {"fake_alpha": ""})
    distributions("x-more", f"{POINTS}mike = fake_mike\nalpha = fake_other", {})
    distributions("x-else", "[console_scripts]\nnovember = fake_script", {})
    assert installed_drivers() == ("alpha", "mike", "zulu")
    assert "fake_alpha" not in sys.modules


@pytest.mark.parametrize(
    ("name", "extra"),
    [("postgres", "postgres"), ("postgresql", "postgres"), ("sqlite", "sqlite")],
)
def test_a_shipped_driver_that_is_missing_is_named_with_its_extra(good, name, extra):
    with pytest.raises(UnknownDriverError) as caught:
        load_driver(name)
    assert caught.value.driver == name
    assert caught.value.installed == ("good",)
    assert caught.value.remedy == f'Install it: pip install "engine-store[{extra}]"'
    assert str(caught.value) == (
        f"no driver named '{name}' (installed: good). "
        f'Install it: pip install "engine-store[{extra}]"'
    )


@pytest.mark.parametrize("name", ["oracle", "", "GOOD", "good "])
def test_any_other_name_is_unknown(good, name):
    with pytest.raises(UnknownDriverError) as caught:
        load_driver(name)
    assert caught.value.driver == name
    assert caught.value.installed == ("good",)
    assert "install the distribution that offers this driver" in caught.value.remedy


def test_where_none_is_installed_the_error_says_so(distributions):
    with pytest.raises(UnknownDriverError, match=r"\(installed: none\)"):
        load_driver("postgres")


# --- loading -----------------------------------------------------------------------------------


def test_a_driver_is_what_its_entry_point_names(good):
    driver = load_driver("good")
    assert driver is sys.modules["fake_good"].DRIVER
    assert driver.name == "good"


def test_only_the_entry_point_asked_for_is_loaded(distributions, good):
    distributions("x-other", f"{POINTS}other = fake_other:DRIVER", {"fake_other": GOOD})
    load_driver("good")
    assert "fake_good" in sys.modules
    assert "fake_other" not in sys.modules


def test_a_driver_need_not_describe_its_settings(good):
    assert driver_settings("good") is None


# --- broken drivers ----------------------------------------------------------------------------

BROKEN = {
    "raises when imported": (
        "raise RuntimeError('no licence')",
        "RuntimeError: no licence",
    ),
    "lacks a dependency": (
        "import no_such_dependency",
        "ModuleNotFoundError: No module named 'no_such_dependency'",
    ),
    "is no Python": (
        "def",
        "SyntaxError",
    ),
    "says in several lines what it misses": (
        "raise ImportError('no wrapper.\\nTried:\\n- one\\n- another')",
        "ImportError: no wrapper. Tried: - one - another",
    ),
}


@pytest.mark.parametrize(("module", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_driver_is_an_error_that_names_its_distribution(
    distributions, good, module, reason
):
    distributions("third-party", f"{POINTS}broken = fake_broken:DRIVER", {"fake_broken": module})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("broken")
    assert caught.value.driver == "broken"
    assert caught.value.distribution == "third-party"
    assert caught.value.reason.startswith(reason)
    assert caught.value.remedy == "Install it again: pip install --force-reinstall third-party"
    assert caught.value.__cause__ is not None

    assert load_driver("good").name == "good"  # no other driver is hurt


@pytest.mark.parametrize("name", ["postgres", "postgresql"])
def test_a_shipped_driver_is_installed_again_with_all_that_it_needs(distributions, name):
    distributions("engine-store-postgres", f"{POINTS}{name} = fake_gone:DRIVER", {})
    with pytest.raises(DriverLoadError) as caught:
        load_driver(name)
    assert caught.value.remedy == (
        'Install it again: pip install --force-reinstall "engine-store[postgres]"'
    )


def test_an_entry_point_without_its_module_is_a_broken_driver(distributions):
    distributions("third-party", f"{POINTS}gone = fake_gone:DRIVER", {})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("gone")
    assert caught.value.distribution == "third-party"
    assert caught.value.reason == "ModuleNotFoundError: No module named 'fake_gone'"


NO_DRIVER = {
    "the module of an older release": (
        "fake_other",
        "def engine_store_driver(): ...",
        "fake_other has the hook engine_store_driver, which drivers no longer have",
        "Its entry point must name the Driver object itself; the hooks for settings, checks and "
        "backup become its attribute settings and its methods check and backup",
    ),
    "an object of an older release": (
        "fake_other:plugin",
        """
        class Plugin:
            def engine_store_driver(self): ...

        plugin = Plugin()
        """,
        "fake_other:plugin has the hook engine_store_driver, which drivers no longer have",
        "Its entry point must name the Driver object itself; the hooks for settings, checks and "
        "backup become its attribute settings and its methods check and backup",
    ),
    "the class of a driver": (
        "fake_other:Driver",
        GOOD,
        "fake_other:Driver is a class",
        "Its entry point must name an object of this class",
    ),
    "an object that lacks methods": (
        "fake_other:DRIVER",
        """
        class Driver:
            name = "other"
            def capabilities(self, config): ...
            def open(self, config, context): ...

        DRIVER = Driver()
        """,
        "fake_other:DRIVER is no driver: it has no scratch, open_async",
        "Its entry point must name an object with all that engine_store.protocols.Driver has",
    ),
    "an empty module": (
        "fake_other",
        "",
        "fake_other is no driver: it has no name, capabilities, scratch, open, open_async",
        "Its entry point must name an object with all that engine_store.protocols.Driver has",
    ),
}


@pytest.mark.parametrize(
    ("value", "module", "reason", "remedy"), NO_DRIVER.values(), ids=NO_DRIVER.keys()
)
def test_an_entry_point_that_names_no_driver_says_what_to_change(
    distributions, value, module, reason, remedy
):
    distributions("third-party", f"{POINTS}other = {value}", {"fake_other": module})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("other")
    assert caught.value.distribution == "third-party"
    assert (caught.value.reason, caught.value.remedy) == (reason, remedy)
