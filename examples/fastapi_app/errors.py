"""Errors as HTTP answers: here, and nowhere else. Each is `{"detail": "a sentence"}`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from engine_store.errors import (
    AlreadyExistsError,
    EngineStoreError,
    InvalidKeyError,
    InvalidValueError,
    NotFoundError,
    StatusConflictError,
    UnavailableError,
    VersionConflictError,
)

RETRY_AFTER = "1"
"""Seconds; by then the pool or the server may be back."""

_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Have `app` answer what the store raises, and what FastAPI finds wrong with a request."""
    app.add_exception_handler(EngineStoreError, answer)
    app.add_exception_handler(RequestValidationError, answer)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to an error. What is not listed is no request's fault: a logged 500."""
    match error:
        case InvalidKeyError():  # missing, malformed, unknown, revoked: all the same
            return _answer(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})
        case NotFoundError():
            return _answer(404, str(error))
        case AlreadyExistsError() | StatusConflictError():
            return _answer(409, str(error))
        case VersionConflictError():  # the precondition is the `If-Match` of the request
            detail = f"the version is {error.actual}, not {error.expected}; read it again"
            return _answer(412, detail, {"ETag": etag(error.actual)})
        case InvalidValueError():
            return _answer(422, str(error))
        case RequestValidationError():  # FastAPI's own answer quotes values, which may be secrets
            return _answer(422, "; ".join(map(_problem, error.errors())))
        case UnavailableError():
            _log.warning("%s %s: %s", request.method, request.url.path, error)  # it names hosts
            headers = {"Retry-After": RETRY_AFTER} if error.retriable else {}
            return _answer(503, "The database is not available", headers)
    raise error


def etag(version: int) -> str:
    """Return a version as HTTP has it."""
    return f'"{version}"'


def _problem(found: Mapping[str, Any]) -> str:
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
