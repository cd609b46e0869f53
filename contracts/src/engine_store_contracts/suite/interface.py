"""The Protocols to the letter: a call that names its arguments works with every driver."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

import pytest

from engine_store.protocols import Migrator, asynchronous
from engine_store_contracts.faces import Face
from engine_store_contracts.harness import Harness
from engine_store_contracts.suite import calls
from engine_store_contracts.suite.case import ContractCase, clause

PROTOCOLS = {**calls.PROTOCOLS, "migrator": Migrator}


class InterfaceCases(ContractCase):
    """What type checkers do not look at in a Protocol: the names of positional arguments."""

    @clause("9", "9.3")
    @pytest.mark.parametrize("name", PROTOCOLS)
    def test_methods_have_the_arguments_of_the_protocol(
        self, harness: Harness, face: Face, name: str
    ) -> None:
        of_sync = PROTOCOLS[name]
        of_async = getattr(asynchronous, f"Async{of_sync.__name__}")
        if face is Face.SYNC:
            with harness.open() as store:
                assert arguments(getattr(store, name), of_sync) == arguments(of_sync, of_sync)
            return

        async def check() -> None:
            async with await harness.open_async() as store:
                assert arguments(getattr(store, name), of_async) == arguments(of_async, of_async)

        asyncio.run(check())


def arguments(target: object, protocol: type) -> dict[str, list[tuple[str, object, bool]]]:
    """Name, kind and whether there is a default, for each argument of the protocol's methods."""
    methods = [name for name in vars(protocol) if name[0] != "_" and callable(vars(protocol)[name])]
    return {name: _parameters(getattr(target, name)) for name in methods}


def _parameters(method: Callable[..., object]) -> list[tuple[str, object, bool]]:
    return [
        (parameter.name, parameter.kind, parameter.default is not parameter.empty)
        for parameter in inspect.signature(method).parameters.values()
        if parameter.name != "self"
    ]
