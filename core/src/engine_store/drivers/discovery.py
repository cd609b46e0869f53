"""Drivers among the installed distributions.

A distribution offers a driver by an entry point in the group `engine_store.drivers`. Its name is
what configurations and URL schemes call the driver, and its value is the `Driver` object itself,
such as `engine_store_sqlite.driver:DRIVER`. Only the entry point asked for is loaded.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from engine_store.errors import DriverLoadError, UnknownDriverError
from engine_store.protocols import Configurable, Driver
from engine_store.urls import mask_url

GROUP = "engine_store.drivers"

SHIPPED = {"sqlite": "sqlite", "postgres": "postgres", "postgresql": "postgres"}
"""The extra of `engine-store` that brings the driver of a name."""

MEMBERS = ("name", "capabilities", "scratch", "open", "open_async")
"""The attributes that make an object a `Driver`."""


def installed_drivers() -> tuple[str, ...]:
    """Return the names of all installed drivers, sorted; nothing is loaded."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def driver_distribution(name: str) -> tuple[str | None, str | None]:
    """Return the name and version of a driver's distribution; nothing is loaded."""
    for point in entry_points(group=GROUP):
        if point.name == name and point.dist is not None:
            return point.dist.name, point.dist.version
    return None, None


def load_driver(name: str) -> Driver:
    """Return the driver called `name`.

    Raises `UnknownDriverError` if none is installed, and `DriverLoadError` if it cannot be
    imported or its entry point names no driver; both name the remedy.
    """
    point = _entry_point(name)
    distribution = point.dist.name if point.dist else "an unknown distribution"
    try:
        found = point.load()
    except Exception as exc:
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}"
        raise DriverLoadError(name, distribution, reason, _reinstall(name, distribution)) from exc
    if isinstance(found, Driver) and not isinstance(found, type):
        return found
    raise DriverLoadError(name, distribution, *_why_no_driver(point.value, found))


def is_same_driver(one: str, other: str) -> bool:
    """Return whether two names are of one driver, as `postgres` and the scheme `postgresql`."""
    values = {
        name: {point.value for point in entry_points(group=GROUP) if point.name == name}
        for name in (one, other)
    }
    return one == other or bool(values[one] & values[other])


def driver_settings(name: str) -> type[Any] | None:
    """Return the class of a driver's settings, if it describes them. Raises as `load_driver`."""
    driver = load_driver(name)
    return driver.settings if isinstance(driver, Configurable) else None


@cache
def _entry_point(name: str) -> EntryPoint:
    """Find the entry point, once: looking through all distributions is a third of `open`."""
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        extra = SHIPPED.get(name)
        remedy = (
            f'Install it: pip install "engine-store[{extra}]"'
            if extra
            else "Check the URL's scheme, or install the distribution that offers this driver"
        )
        known = installed_drivers()
        close = "" if extra else "".join(get_close_matches(name.lower(), known, n=1))
        remedy = f"Did you mean {close}? {remedy}" if close else remedy
        raise UnknownDriverError(mask_url(name), known, remedy)
    return found[0]


def _reinstall(name: str, distribution: str) -> str:
    extra = SHIPPED.get(name)  # a shipped driver's dependencies come with the extra
    again = f'"engine-store[{extra}]"' if distribution == f"engine-store-{extra}" else distribution
    return f"Install it again: pip install --force-reinstall {again}"


def _why_no_driver(value: str, found: object) -> tuple[str, str]:
    """Return why what an entry point names is no driver, and what its author has to change."""
    if isinstance(found, type):
        return f"{value} is a class", "Its entry point must name an object of this class"
    if hasattr(found, "engine_store_driver"):
        return (
            f"{value} has the hook engine_store_driver, which drivers no longer have",
            "Its entry point must name the Driver object itself; the hooks for settings, checks "
            "and backup become its attribute settings and its methods check and backup",
        )
    lacking = ", ".join(name for name in MEMBERS if not hasattr(found, name))
    return (
        f"{value} is no driver: it has no {lacking}",
        "Its entry point must name an object with all that engine_store.protocols.Driver has",
    )
