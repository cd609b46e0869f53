"""Section 9.5: what a driver cannot do, it says."""

from __future__ import annotations

from difflib import get_close_matches

from engine_store_contracts import recording
from engine_store_contracts.harness import Harness
from engine_store_contracts.suite.case import ContractCase, clause

CLOSE = 0.8
"""How alike two names are of which one is taken for a misspelling, from 0 to 1."""


class CapabilityCases(ContractCase):
    """Contract 9.5."""

    @clause("9.5")
    def test_what_is_unsupported_is_declared_by_name_and_with_a_reason(
        self, harness: Harness
    ) -> None:
        for name, capability in harness.capabilities().items():
            assert capability.name == name
            assert type(capability.supported) is bool
            if not capability.supported:
                assert capability.reason.strip(), recording.without_a_reason(capability)

    @clause("9.5")
    def test_no_capability_is_declared_by_a_name_that_is_nearly_one_of_the_suite(
        self, harness: Harness
    ) -> None:
        asked_for = {name for base in type(self).__mro__ for name in vars(base).get("needs", ())}
        declared = harness.capabilities().items()
        for name in sorted(name for name, capability in declared if not capability.supported):
            [meant] = get_close_matches(name, asked_for, 1, CLOSE) or [name]
            assert meant == name, (
                f"`{name}` is no capability that the suite asks for; did you mean `{meant}`?"
            )
