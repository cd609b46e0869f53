"""The sections of the contract; `engine_store_contracts.contract` puts them together."""

import pytest

pytest.register_assert_rewrite("engine_store_contracts.suite")
