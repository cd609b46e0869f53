"""The sections of the contract; `engine_store_contracts.contract` puts them together."""
