"""Finding drivers among installed distributions: entry points, and errors that name the remedy."""

from __future__ import annotations

import sys

import pytest

from engine_store.errors import DriverLoadError, UnknownDriverError
from engine_store.plugins import hookimpl, installed_drivers, load_driver

GOOD = """
    from engine_store.plugins import hookimpl

    class Driver:
        name = "good"

    @hookimpl
    def engine_store_driver():
        return Driver()
"""
POINTS = "[engine_store.drivers]\n"


@pytest.fixture
def good(distributions):
    distributions("engine-store-good", f"{POINTS}good = fake_good", {"fake_good": GOOD})


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


def test_a_driver_is_loaded_by_its_name(good):
    driver, manager = load_driver("good")
    assert driver.name == "good"
    assert manager.get_plugin("good") is sys.modules["fake_good"]


def test_an_entry_point_may_be_an_object_of_a_module(distributions):
    module = """
        from engine_store.plugins import hookimpl

        class Plugin:
            name = "object"

            @hookimpl
            def engine_store_driver(self):
                return self

        plugin = Plugin()
    """
    distributions("x-object", f"{POINTS}object = fake_object:plugin", {"fake_object": module})
    assert load_driver("object")[0].name == "object"


def test_only_the_entry_point_asked_for_is_loaded(distributions, good):
    distributions("x-other", f"{POINTS}other = fake_other", {"fake_other": GOOD})
    load_driver("good")
    assert "fake_good" in sys.modules
    assert "fake_other" not in sys.modules


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
    "has a hook with an argument that is not there": (
        """
        from engine_store.plugins import hookimpl

        @hookimpl
        def engine_store_driver(colour): ...
        """,
        "PluginValidationError",
    ),
    "has a hook that is not there": (
        GOOD
        + """
    @hookimpl
    def engine_store_no_such_hook(): ...
        """,
        "PluginValidationError",
    ),
    "raises when asked for the driver": (
        """
        from engine_store.plugins import hookimpl

        @hookimpl
        def engine_store_driver():
            import no_such_dependency
        """,
        "ModuleNotFoundError: No module named 'no_such_dependency'",
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
    distributions("third-party", f"{POINTS}broken = fake_broken", {"fake_broken": module})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("broken")
    assert caught.value.driver == "broken"
    assert caught.value.distribution == "third-party"
    assert caught.value.reason.startswith(reason)
    assert caught.value.remedy == "Install it again: pip install --force-reinstall third-party"
    assert caught.value.__cause__ is not None

    assert load_driver("good")[0].name == "good"  # nobody else is hurt


@pytest.mark.parametrize("name", ["postgres", "postgresql"])
def test_a_shipped_driver_is_installed_again_with_all_that_it_needs(distributions, name):
    distributions("engine-store-postgres", f"{POINTS}{name} = fake_gone", {})
    with pytest.raises(DriverLoadError) as caught:
        load_driver(name)
    assert caught.value.remedy == (
        'Install it again: pip install --force-reinstall "engine-store[postgres]"'
    )


def test_an_entry_point_without_its_module_is_a_broken_driver(distributions):
    distributions("third-party", f"{POINTS}gone = fake_gone:plugin", {})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("gone")
    assert caught.value.distribution == "third-party"
    assert caught.value.reason == "ModuleNotFoundError: No module named 'fake_gone'"


@pytest.mark.parametrize(
    "module",
    [
        "",
        "def engine_store_driver(): return 1",
        """
        from engine_store.plugins import hookimpl

        @hookimpl
        def engine_store_driver():
            return None
        """,
    ],
    ids=["no hook", "no mark", "no driver"],
)
def test_a_plugin_that_offers_no_driver_is_an_error_too(distributions, module):
    distributions("third-party", f"{POINTS}empty = fake_empty", {"fake_empty": module})
    with pytest.raises(DriverLoadError) as caught:
        load_driver("empty")
    assert caught.value.distribution == "third-party"
    assert caught.value.reason == "fake_empty implements no engine_store_driver hook"
    assert caught.value.remedy == "Ask its author"


# --- listeners ---------------------------------------------------------------------------------


def test_listeners_are_registered_beside_the_driver(good):
    heard = []

    class Listener:
        @hookimpl
        def engine_store_opened(self, driver):
            heard.append(driver)

    _, manager = load_driver("good", [Listener(), Listener()])
    manager.hook.engine_store_opened(driver="good", store=None)
    assert heard == ["good", "good"]


def test_a_listener_cannot_take_the_place_of_the_driver(good):
    class Impostor:
        @hookimpl
        def engine_store_driver(self):
            return "impostor"

    driver, _ = load_driver("good", [Impostor()])
    assert driver.name == "good"


def test_two_stores_have_listeners_of_their_own(good):
    class Listener: ...

    listener = Listener()
    _, one = load_driver("good", [listener])
    _, other = load_driver("good")
    assert one.is_registered(listener)
    assert not other.is_registered(listener)


def test_a_hook_nobody_implements_has_no_implementations(good):
    _, manager = load_driver("good")
    assert manager.hook.engine_store_operation_finished.get_hookimpls() == []
