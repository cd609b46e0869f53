"""The error of a workflow or task execution."""

from __future__ import annotations

from attrs import frozen

from engine_store.values import Document


@frozen
class ErrorInfo:
    """Why an execution failed: a message for people, a code for programs, details as a document."""

    message: str
    code: str | None = None
    details: Document | None = None
