"""The contract every engine-store driver keeps, to be inherited by the driver's own tests.

- `contract`: the class with every case, `DriverContract`.
- `harness`: what a driver's author implements, once: how to open a database.
- `suite`: the sections of the contract, with their cases.
- `machine`: a hypothesis state machine that drives a store and the reference, an
  `engine_store_memory` store, side by side.
- `history`: what concurrent workers were answered, and whether an order explains it.
- `report`: what a run found, as JSON and as a page.
"""
