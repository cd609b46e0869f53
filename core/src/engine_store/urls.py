"""Database URLs: their parts, and how they are shown without their secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from urllib.parse import parse_qsl, unquote

from attrs import field, frozen

from engine_store.errors import ConfigurationError
from engine_store.secrecy import MASK, Hidden

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SERVER = re.compile(r"(?P<host>\[[^\]]*\]|[^:,]*)(?::(?P<port>[0-9]+))?")
# What looks like a secret, also where it was not quoted, or the URL is none: better too much.
_PASSWORD = re.compile(r"(?s)\A(?:[^:/?#]*://)?+[^:]*:(?P<secret>.*)@")
_SECRET_OPTION = re.compile(r"(?i)(?:pass|secret|token|key)[^=&?/]*=(?P<secret>[^&]*)")
_SECRET_PAIR = re.compile(r"(?is)(?:pass|secret|token|key)[^=]*=(?P<secret>.*)")


@frozen
class DatabaseUrl:
    """A parsed URL, each of its parts percent-decoded by itself.

    `path` begins with its slash. A `port` that is no number, or one of several, stays in `host`.
    `location` is all that stands between `scheme://` and `?`, for a database without a server.
    """

    scheme: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    host: str = field(default="", repr=False)
    port: int | None = field(default=None, repr=False)
    path: str = field(default="", repr=False)
    location: str = field(default="", repr=False)
    options: Mapping[str, str] = field(factory=dict, repr=lambda options: f"<{len(options)}>")


def parse_url(url: str) -> DatabaseUrl:
    """Return the parts of a database URL.

    Raises `ConfigurationError` if there is no scheme, an option is doubled or empty, or a control
    character stands in it.
    """
    url = Hidden(url)
    problem = _problem_of(url)
    if problem is not None:
        raise ConfigurationError("url", problem)
    return _parsed(url)


def _problem_of(url: str) -> str | None:
    if _CONTROL.search(url):
        return (
            f"expected a line of text, found a control character in {mask_url(url)!a}; if it is "
            "meant, write it as %0A or the like"
        )
    if not _SCHEME.match(url):
        return f"expected scheme://..., such as sqlite:///engine.db, found {mask_url(url)!r}"
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        return f"an option is given twice in {mask_url(url)}"
    if "" in options or "" in options.values():
        return f"an option is empty in {mask_url(url)}"
    return None


def _parsed(url: str) -> DatabaseUrl:
    scheme, _, after = url.partition("://")
    rest, _, query = after.partition("?")
    authority, slash, path = rest.partition("/")
    login, at, server = authority.rpartition("@")
    user, colon, password = login.partition(":")
    host, port = _split_port(server)
    return DatabaseUrl(
        scheme.lower(),
        unquote(user) if at else None,
        unquote(password) if colon else None,
        unquote(host),
        port,
        unquote(slash + path),
        unquote(rest),
        dict(parse_qsl(query, keep_blank_values=True)),
    )


def _split_port(server: str) -> tuple[str, int | None]:
    found = _SERVER.fullmatch(server)
    if found is None:
        return server, None
    return found["host"].strip("[]"), None if found["port"] is None else int(found["port"])


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with each of `secrets` masked where it stands as one.

    That is as the password of a URL, as the value of a name such as password, and alone in quotes.
    The same letters anywhere else, such as in a longer word, are none.
    """
    forms = "|".join(re.escape(form) for form in sorted(secrets, key=len, reverse=True) if form)
    if not forms:
        return text
    return re.sub(
        rf"(?P<url>://[^\s/@:]*:)(?:{forms})(?=@)"
        rf"|(?P<pair>(?i:pass|secret|token|key)[^\s=:]*\s*[=:]\s*['\"]?)(?:{forms})(?!\w)"
        rf"|(?P<quote>['\"])(?:{forms})(?=(?P=quote))",
        lambda found: f"{found['url'] or found['pair'] or found['quote']}{MASK}",
        text,
    )


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
