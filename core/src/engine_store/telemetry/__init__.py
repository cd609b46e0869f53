"""Plugins that tell what stores do: OpenTelemetry's spans and metrics, and a log of what is slow.

    store = engine_store.open(url, plugins=[telemetry.OpenTelemetry()])
    store = engine_store.open(url, plugins=[telemetry.SlowOperations(threshold=0.5)])

No value that is stored, and no text of an error, goes out through them: operations, classes of
errors, and the database by its name. `OpenTelemetry` needs the extra `otel`; asking for it without
raises `MissingExtraError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine_store.errors import MissingExtraError
from engine_store.telemetry.slow import SlowOperations

if TYPE_CHECKING:
    from engine_store.telemetry.otel import OpenTelemetry

__all__ = ["OpenTelemetry", "SlowOperations"]


def __getattr__(name: str) -> object:
    # Only when it is asked for: who wants the log alone needs no extra.
    if name != "OpenTelemetry":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from engine_store.telemetry.otel import OpenTelemetry
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingExtraError("otel", "opentelemetry-api") from error
    return OpenTelemetry
