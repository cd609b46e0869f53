"""The configuration: its models, and how plain data becomes one of them."""

from engine_store.config.database import DEFAULT_DRIVER, DatabaseConfig
from engine_store.config.model import (
    Config,
    Finding,
    Knowledge,
    Severity,
    VectorDatabase,
    VectorProvider,
    Worker,
)
from engine_store.config.server import ServerOptions, text, without_nul
from engine_store.config.structure import DAY, Seconds, Text, duration, seconds, setting, structure

__all__ = [
    "DAY",
    "DEFAULT_DRIVER",
    "Config",
    "DatabaseConfig",
    "Finding",
    "Knowledge",
    "Seconds",
    "ServerOptions",
    "Severity",
    "Text",
    "VectorDatabase",
    "VectorProvider",
    "Worker",
    "duration",
    "seconds",
    "setting",
    "structure",
    "text",
    "without_nul",
]
