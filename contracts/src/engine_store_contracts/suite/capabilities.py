"""Section 9.5: what a driver cannot do, it says."""

from __future__ import annotations

from engine_store_contracts.harness import Harness
from engine_store_contracts.suite.case import ContractCase, clause


class CapabilityCases(ContractCase):
    """Contract 9.5."""

    @clause("9.5")
    def test_what_is_unsupported_is_declared_by_name_and_with_a_reason(
        self, harness: Harness
    ) -> None:
        for name, capability in harness.capabilities().items():
            assert capability.name == name
            assert type(capability.supported) is bool
            assert capability.supported or capability.reason.strip()
