"""The two faces are alike: what is said of the one is true of the other (contract 9.3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from async_protocols import ASYNC, SENTENCES, SYNC
from async_protocols import asynchronous as made_asynchronous
from engine_store import protocols
from engine_store.protocols import asynchronous, sync

DUNDERS = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def protocols_of(module: object) -> dict[str, type]:
    """The Protocols a module defines, by name."""
    return {
        name: member
        for name, member in vars(module).items()
        if inspect.isclass(member)
        and member.__module__ == module.__name__
        and getattr(member, "_is_protocol", False)
    }


def members(protocol: type) -> dict[str, object]:
    """What the Protocol asks for, inherited members too, by name."""
    found: dict[str, object] = {}
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False) and base.__module__ in (
            sync.__name__,
            asynchronous.__name__,
        ):
            found |= vars(base)
    managers = {*DUNDERS, *DUNDERS.values()}
    return {n: member for n, member in found.items() if n in managers or not n.startswith("_")}


AWAITED = {"Callable[[AsyncTransaction], Awaitable[T]]": "Callable[[Transaction], T]"}
"""A function that is awaited, and what it is on the synchronous side."""


def parameters(function: Callable[..., object]) -> list[tuple[str, object, object, object]]:
    return [
        (one.name, one.kind, one.default, AWAITED.get(str(one.annotation), one.annotation))
        for one in inspect.signature(function).parameters.values()
    ]


def returned(member: object) -> str:
    """The return type of a method or property, without the word `Async`."""
    function = member.fget if isinstance(member, property) else member
    return str(inspect.signature(function).return_annotation).replace("Async", "")


PAIRS = [
    pytest.param(protocol, getattr(asynchronous, f"Async{name}", None), id=name)
    for name, protocol in protocols_of(sync).items()
]
METHODS = [
    pytest.param(
        member, members(pair.values[1]).get(DUNDERS.get(name, name)), id=f"{pair.id}.{name}"
    )
    for pair in PAIRS
    for name, member in members(pair.values[0]).items()
]


def test_every_protocol_has_its_asynchronous_twin():
    assert {f"Async{name}" for name in protocols_of(sync)} == set(protocols_of(asynchronous))
    assert len(PAIRS) == 9


def test_every_protocol_is_exported():
    everything = {*protocols_of(sync), *protocols_of(asynchronous)}
    assert everything <= set(protocols.__all__)
    for name in protocols.__all__:
        assert inspect.isclass(getattr(protocols, name))


@pytest.mark.parametrize(("protocol", "twin"), PAIRS)
def test_twins_have_the_same_members(protocol, twin):
    assert {DUNDERS.get(name, name) for name in members(protocol)} == set(members(twin))


def docstring(member: object, asynchronous_side: bool = False) -> str | None:
    """The docstring; of a synchronous member with the sentences of the asynchronous side."""
    text = inspect.getdoc(member)
    for said, true in SENTENCES if text and asynchronous_side else ():
        text = text.replace(said, true)
    return text


def test_the_asynchronous_side_is_what_the_script_makes_of_the_synchronous_one():
    assert ASYNC.read_text("utf-8") == made_asynchronous(SYNC.read_text("utf-8"))


def test_a_sentence_that_is_no_longer_said_is_reported():
    with pytest.raises(ValueError, match="Belongs to the thread"):
        made_asynchronous(SYNC.read_text("utf-8").replace("Belongs to the thread", "It is of it"))


@pytest.mark.parametrize(("member", "twin"), [*PAIRS, *METHODS])
def test_twins_say_the_same(member, twin):
    assert docstring(twin) == docstring(member, asynchronous_side=True)


def test_every_method_has_a_docstring():
    silent = {param.id for param in METHODS if inspect.getdoc(param.values[1]) is None}
    properties = {"users", "api_keys", "workflows", "tasks", "events", "migrator"}
    assert {name.partition(".")[2] for name in silent} == {*properties, *DUNDERS}


@pytest.mark.parametrize(("member", "twin"), METHODS)
def test_twin_members_are_of_one_kind(member, twin):
    assert isinstance(member, property) is isinstance(twin, property)
    if not isinstance(member, property):
        assert parameters(member) == parameters(twin)
    assert returned(member) == returned(twin)


@pytest.mark.parametrize(("member", "twin"), METHODS)
def test_whatever_may_touch_the_database_is_awaited(member, twin):
    assert not inspect.iscoroutinefunction(member)
    # A transaction is entered, and an iterator iterated: making one touches nothing.
    made_at_once = isinstance(member, property) or member.__name__ in ("transaction", "follow")
    assert inspect.iscoroutinefunction(twin) is not made_at_once


@pytest.mark.parametrize(("protocol", "twin"), PAIRS)
def test_twins_derive_from_twins(protocol, twin):
    bases = {
        f"Async{base.__name__}" for base in protocol.__mro__ if base.__module__ == sync.__name__
    }
    assert bases == {
        base.__name__ for base in twin.__mro__ if base.__module__ == asynchronous.__name__
    }
