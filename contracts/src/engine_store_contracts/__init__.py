"""The contract every engine-store driver keeps, to be inherited by the driver's own tests.

- `harness`: what a driver's author implements, once: how to open a store.
- `suite`: the contract as pytest classes, one module for each section.
- `machine`: a hypothesis state machine that drives a store and the reference side by side.
- `reference`: the contract as a plain-Python store, the oracle of the two.

    class TestMyDriver(StoreContract, MachineContract):
        @pytest.fixture
        def harness(self, tmp_path): ...
"""
