"""A failing run prints a script that shows the difference again, on the public API."""

import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import initialize

import engine_store
from engine_store.protocols import Store
from engine_store.rules.entities import API_KEY, USER
from engine_store_contracts import strategies as some
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.machine import StoreMachine, Subject, run_machine
from engine_store_contracts.machine.base import SideBySide
from engine_store_contracts.machine.rules import with_rules
from engine_store_contracts.machine.script import HEADER, change, source
from engine_store_contracts.suite.samples import api_key, user
from engine_store_memory.store import MemoryStore
from engine_store_memory.users import Users


class UsersThatLeaveTheirKeys(Users):
    def delete(self, user_id: str) -> None:
        keys = dict(self._scope.read()[API_KEY])
        super().delete(user_id)
        with self._scope.write() as data:
            data[API_KEY].update(keys)


def broken_store(clock: ManualClock) -> Store:
    store = MemoryStore(clock)
    store.users = UsersThatLeaveTheirKeys(store)
    return store


@with_rules(USER, API_KEY)
class Machine(SideBySide):
    @initialize()
    def populate(self) -> None:
        self.both(lambda s: s.users.create(user("ann")))
        self.both(lambda s: s.api_keys.create(api_key("key", "ann")))


@pytest.fixture(scope="module")
def script() -> str:
    """The script of a machine that has found what is wrong with `broken_store`."""
    clock, scripts = ManualClock(), []
    with pytest.raises(BaseException, match="the reference:"):
        run_machine(
            lambda: Machine(Subject(broken_store(clock)), clock),
            examples=500,
            steps=20,
            seed=3,
            on_failure=scripts.append,
        )
    [script] = scripts
    return script


def test_the_script_does_again_what_the_store_did(script, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "broken://"])
    monkeypatch.setattr(engine_store, "open", lambda url, *, clock: broken_store(clock))
    exec(compile(script, "reproduce.py", "exec"), {"__name__": "__main__"})
    *_, printed = capsys.readouterr().out.splitlines()
    *_, store, reference = script.splitlines()
    assert store == f"# the store:     {printed}"
    assert reference.startswith("# the reference: [")
    assert reference.removeprefix("# the reference: ") != store.removeprefix("# the store:     ")


def test_the_script_has_what_was_needed_and_little_more(script) -> None:
    calls = [line for line in script.removeprefix(HEADER).splitlines() if line[:4] == "show"]
    created_user, created_key, *rest = calls
    assert created_user.startswith("show(lambda: store.users.create(User(user_id='ann', ")
    assert created_key.startswith("show(lambda: store.api_keys.create(ApiKey(key_id='key', ")
    assert rest[-2:] == [
        "show(lambda: store.users.delete('ann'))",
        "show(lambda: everything(store))",
    ]
    assert len(rest) <= 3  # a state of the user comes from a call of its own


def test_what_another_process_reads_otherwise_is_a_difference() -> None:
    clock, scripts = ManualClock(), []
    subject = Subject(MemoryStore(clock), elsewhere=lambda reference: ["-0.0 is 0"])
    with pytest.raises(BaseException, match=r"the store: \['-0\.0 is 0'\]\nthe reference: \[\]"):
        run_machine(
            lambda: StoreMachine(subject, clock),
            examples=20,
            steps=20,
            seed=1,
            on_failure=scripts.append,
        )
    [script] = scripts
    assert (
        "\n# here another process, which writes nothing, reads every row\n# the store: " in script
    )


values = st.one_of(
    some.json_values,
    some.users,
    some.api_keys,
    some.workflows,
    some.tasks,
    some.times,
    some.illegal_scalars.filter(lambda value: value == value),
)


@given(values)
def test_a_value_is_written_as_python_that_makes_it(value: Any) -> None:
    names: dict[str, Any] = {}
    exec(HEADER.partition("\n\ndef")[0], names)
    made = eval(source(value), names)
    assert made == value
    if attrs.has(type(value)) or isinstance(value, dict | list):
        assert exact(made) == exact(value)


def test_a_change_does_what_it_shows() -> None:
    user = engine_store.User("ann", "ann@example.org")
    changed = change({"email": "bob@example.org"})
    assert changed.text == "lambda state: attrs.evolve(state, email='bob@example.org')"
    assert changed(user) == attrs.evolve(user, email="bob@example.org")
    assert change(None)(user) is user
