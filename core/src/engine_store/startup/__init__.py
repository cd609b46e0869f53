"""From a configuration file, the environment and arguments to a store that can be used."""

from engine_store.startup.loading import load
from engine_store.startup.schema import json_schema
from engine_store.startup.start import configuration, start, start_async
from engine_store.startup.validation import check, findings

__all__ = ["check", "configuration", "findings", "json_schema", "load", "start", "start_async"]
