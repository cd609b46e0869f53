"""Database URLs: their parts, and how they are shown without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from urllib.parse import parse_qsl, unquote

from attrs import field, frozen

from engine_store.errors import ConfigurationError

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
# What looks like a secret, also where it was not quoted, or the URL is none: better too much.
_PASSWORD = re.compile(r"(?s)\A(?:[^:/?#]*://)?+[^:]*:(?P<secret>.*)@")
_SECRET_OPTION = re.compile(r"(?i)(?:pass|secret|token|key)[^=&?/]*=(?P<secret>[^&]*)")
_SECRET_PAIR = re.compile(r"(?is)(?:pass|secret|token|key)[^=]*=(?P<secret>.*)")

MASK = "***"


@frozen
class DatabaseUrl:
    """A parsed URL. `location` is what stands between `scheme://` and `?`, percent-decoded."""

    scheme: str
    location: str = field(repr=False)
    options: Mapping[str, str] = field(factory=dict, repr=lambda options: f"<{len(options)}>")


def parse_url(url: str) -> DatabaseUrl:
    """The parts of a database URL.

    Raises `ConfigurationError` where there is no scheme, or an option is doubled or empty.
    """
    match = _SCHEME.match(url)
    if match is None:
        raise ConfigurationError(
            "url", f"expected scheme://..., such as sqlite:///engine.db, found {mask_url(url)!r}"
        )
    rest, _, query = url[match.end() :].partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigurationError("url", f"an option is given twice in {mask_url(url)}")
    if "" in options or "" in options.values():
        raise ConfigurationError("url", f"an option is empty in {mask_url(url)}")
    return DatabaseUrl(match.group(1).lower(), unquote(rest), options)


def mask_url(url: str) -> str:
    """`url` with its password, and options that look like secrets, replaced by `***`.

    Of what is no URL, such as a connection string of pairs, nothing behind a secret is shown.
    """
    hidden = {
        place
        for pattern in (_PASSWORD, _SECRET_OPTION if _SCHEME.match(url) else _SECRET_PAIR)
        for match in pattern.finditer(url)
        for place in range(*match.span("secret"))
    }
    runs = groupby(range(len(url)), key=hidden.__contains__)
    return "".join(MASK if secret else "".join(map(url.__getitem__, run)) for secret, run in runs)
