"""Texts that may hold a secret: types that show nothing of it, a mask, and the form of API keys."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

KEY_PREFIX_LENGTH = 12  # 62 bits: no two of a million keys are expected to share one
KEY_SECRET_LENGTH = 43  # the fewest of 62 letters and digits that hold 256 bits

API_KEY = re.compile(rf"(es_[a-z0-9]{{{KEY_PREFIX_LENGTH}}})_[A-Za-z0-9]{{{KEY_SECRET_LENGTH}}}")
"""The form of an API key; its group is the prefix, which may be shown."""

_WORD_OF_KEY = re.compile(rf"\b{API_KEY.pattern}\b")


def without_api_key(text: str) -> str:
    """Return a text without the secret part of an API key, which was given for an id or a name."""
    return _WORD_OF_KEY.sub(rf"\1_{MASK}", text) if "es_" in text else text


class Hidden(str):
    """A text that may hold a secret, and whose repr shows nothing.

    Tracebacks that show variables, as those of rich, Sentry and pytest do, show their reprs: what
    may raise an error has no other text of a secret among its variables.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class HiddenDict(dict[str, Any]):
    """Settings by their names, among which may be secrets: its repr shows none of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)}>"


def hidden(value: Any) -> Any:
    """Return a text as `Hidden`; anything else as it is."""
    return Hidden(value) if isinstance(value, str) else value


def secret_text(text: Any) -> Any:
    """Return a text as `Hidden`, without the line feed that the file of a mounted secret has."""
    return hidden(text.rstrip("\r\n") if isinstance(text, str) else text)
