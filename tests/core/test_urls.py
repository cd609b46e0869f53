"""Database URLs: their parts, and that no text made of them shows a secret."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine_store import DatabaseConfig
from engine_store.config.server import ServerOptions
from engine_store.errors import ConfigurationError
from engine_store.urls import DatabaseUrl, mask_secrets, mask_url, parse_url

# A password is recognised by a mark of its own on both ends, which the mask does not have.
HOSTILE = st.text(st.sampled_from("@:/?#&=%+ \\'\"[]{}é\n\0.x"), max_size=12)
PASSWORDS = HOSTILE.map(lambda inner: f"S3CRET{inner}T3RCES")
USERS = st.text(st.sampled_from("abc.-_%@/"), min_size=1, max_size=8)
TAILS = st.sampled_from(
    ["", "/", "/db", ":5432/db", "/db?sslmode=require", "/db?user=a@b:c", "/db?a=1#x@y", "?x=://@"]
)
SECRET_NAMES = st.sampled_from(
    ["password", "PASSWORD", "passwd", "sslpassword", "passfile", "api_key", "secret", "auth-token"]
)


def shows(text: str, password: str) -> bool:
    """Whether `text` has the password, in whole or one of its marks."""
    return password in text or "S3CRET" in text or "T3RCES" in text


# --- mask_url ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://ada:secret@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("postgresql://ada:s:e@c/r?e#t@host/db", "postgresql://ada:***@host/db"),
        ("postgresql://ada:%40%3A@host/db?sslmode=off", "postgresql://ada:***@host/db?sslmode=off"),
        ("postgresql://ada@host/db", "postgresql://ada@host/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://host/db?user=ada&password=x&a=1", "postgresql://host/db?user=ada&password=***&a=1"),
        ("postgresql://a:b@h/db?sslpassword=x#y", "postgresql://a:***@h/db?sslpassword=***"),
        ("sqlite:///engine.db", "sqlite:///engine.db"),
        ("sqlite:////home/ada@work/engine.db?x=1", "sqlite:////home/ada@work/engine.db?x=1"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///keys/tokens.db?cache=5", "sqlite:///keys/tokens.db?cache=5"),
        ("ada:secret@host/db", "ada:***@host/db"),
        ("host=h user=u password=secret", "host=h user=u password=***"),
        ("host=h password = 'a b' user=u", "host=h password =***"),
        ("no url at all", "no url at all"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_its_secrets(url, masked):
    assert mask_url(url) == masked
    assert mask_url(masked) == masked


@given(USERS, PASSWORDS, TAILS, st.sampled_from(["postgresql", "x+y", "SQLITE"]))
@example("u", "S3CRET@:/%T3RCES", "/db", "postgresql")
def test_the_password_of_a_url_is_never_shown(user, password, tail, scheme):
    masked = mask_url(f"{scheme}://{user}:{password}@host{tail}")
    assert not shows(masked, password)
    assert masked.startswith(f"{scheme}://{user}:***")


@given(USERS, PASSWORDS, TAILS)
def test_a_quoted_password_is_hidden_and_everything_else_kept(user, password, tail):
    assume("@" not in tail)
    url = f"postgresql://{user}:{quote(password, safe='')}@host{tail}"
    assert mask_url(url) == f"postgresql://{user}:***@host{tail}"


@given(USERS, PASSWORDS, st.sampled_from(["", "//", "postgresql:", "postgresql:/", "://"]))
def test_the_password_of_a_broken_url_is_not_shown_either(user, password, start):
    assert not shows(mask_url(f"{start}{user}:{password}@host/db"), password)


@given(SECRET_NAMES, PASSWORDS, st.sampled_from(["", "u@", "u:S3CRET@", "u:x?token=S3CRET@"]))
def test_an_option_that_looks_like_a_secret_is_never_shown(name, password, userinfo):
    assume("&" not in password)
    url = f"postgresql://{userinfo}host:5432/db?a=1&{name}={password}&b=2"
    masked = mask_url(url)
    assert not shows(masked, password)
    assert masked.endswith("***&b=2")


@given(st.text(), PASSWORDS)
def test_any_text_can_be_masked_and_masking_is_final(text, password):
    masked = mask_url(f"{text}:{password}@")
    assert not shows(masked, password)
    assert mask_url(masked) == masked


# --- mask_secrets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://es:es@es/es", "postgresql://es:***@es/es"),
        ("opens postgresql://ada:e%73@host/db", "opens postgresql://ada:***@host/db"),
        ("host=es password=es user=es", "host=es password=*** user=es"),
        ("password = 'es'", "password = '***'"),
        ("{'host': 'h', 'password': 'es', 'n': 1}", "{'host': 'h', 'password': '***', 'n': 1}"),
        ('{"sslpassword": "es"}', '{"sslpassword": "***"}'),
        ('invalid port "es", and again "es"', 'invalid port "***", and again "***"'),
        ("42 cases, yes: es and les 'best'", "42 cases, yes: es and les 'best'"),
        ("password=escape", "password=escape"),
        ("", ""),
    ],
)
def test_a_secret_is_masked_where_it_stands_as_one_and_nowhere_else(text, masked):
    assert mask_secrets(text, ["es", "e%73"]) == masked


@given(PASSWORDS)
def test_a_secret_with_any_characters_is_masked(password):
    for text in (f"x://ada:{password}@host/db", f"password={password} x=1", f"'{password}'"):
        assert not shows(mask_secrets(text, [password]), password)


@pytest.mark.parametrize("secrets", [[], [""]])
def test_what_is_empty_hides_nothing(secrets):
    assert mask_secrets("password='' in ''", secrets) == "password='' in ''"


# --- parse_url ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "scheme", "path", "options"),
    [
        ("sqlite:///engine.db", "sqlite", "/engine.db", {}),
        ("sqlite:////var/engine.db", "sqlite", "//var/engine.db", {}),
        ("sqlite:////home/ada@work/a:b.db", "sqlite", "//home/ada@work/a:b.db", {}),
        ("sqlite:///:memory:", "sqlite", "/:memory:", {}),
        ("sqlite:///a%20b%3F.db?cache=5&x=%26", "sqlite", "/a b?.db", {"cache": "5", "x": "&"}),
        ("sqlite:///a#b.db", "sqlite", "/a#b.db", {}),
        ("third-party+x.y://", "third-party+x.y", "", {}),
        ("sqlite:///a.db?", "sqlite", "/a.db", {}),
        ("sqlite:///a.db?x=1+2&", "sqlite", "/a.db", {"x": "1 2"}),
        ("sqlite:///a.db?x=1?2", "sqlite", "/a.db", {"x": "1?2"}),
    ],
)
def test_the_path_and_the_options_of_a_url(url, scheme, path, options):
    assert parse_url(url) == DatabaseUrl(scheme, path=path, location=path, options=options)


@pytest.mark.parametrize(
    ("rest", "user", "password", "host", "port", "path"),
    [
        ("ada:pw@host:5432/db", "ada", "pw", "host", 5432, "/db"),
        ("h:1/db", None, None, "h", 1, "/db"),
        ("ada@host", "ada", None, "host", None, ""),
        ("ada:@host/", "ada", "", "host", None, "/"),
        (":pw@host/db", "", "pw", "host", None, "/db"),
        ("a%40b%3A:p%2Fw%40%3A%25@ho%2Fst/d%2Fb%40", "a@b:", "p/w@:%", "ho/st", None, "/d/b@"),
        ("ada:p@w:d@host/db", "ada", "p@w:d", "host", None, "/db"),
        ("ada:p+w@host/d+b", "ada", "p+w", "host", None, "/d+b"),
        ("[::1]:5432/db", None, None, "::1", 5432, "/db"),
        ("[::1]/db", None, None, "::1", None, "/db"),
        ("one:1,two:2/db", None, None, "one:1,two:2", None, "/db"),
        ("host:port/db", None, None, "host:port", None, "/db"),
        ("host:/db", None, None, "host:", None, "/db"),
    ],
)
def test_each_part_of_a_server_is_decoded_by_itself(rest, user, password, host, port, path):
    parsed = parse_url(f"x://{rest}")
    found = (parsed.user, parsed.password, parsed.host, parsed.port, parsed.path)
    assert found == (user, password, host, port, path)
    assert parsed.location == unquote(rest)


@given(USERS, PASSWORDS, HOSTILE)
def test_a_quoted_part_comes_back_whatever_it_has(user, password, name):
    quoted = (quote(part, safe="") for part in (user, password, name))
    parsed = parse_url("x://{}:{}@host:1/{}".format(*quoted))
    assert (parsed.user, parsed.password, parsed.path) == (user, password, f"/{name}")
    assert (parsed.host, parsed.port) == ("host", 1)


@pytest.mark.parametrize(
    "url", ["", "engine.db", "/var/engine.db", "sqlite:engine.db", "sqlite:/engine.db", "://x",
            "1x://y", " sqlite:///x", "sq lite:///x", "host=h user=u"]
)  # fmt: skip
def test_a_url_has_a_scheme(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert caught.value.field == "url"
    assert caught.value.reason == (
        f"expected scheme://..., such as sqlite:///engine.db, found {url!r}"
    )


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("a=1&a=2", "an option is given twice in sqlite:///x?a=1&a=2"),
        ("a=1&b=2&%61=1", "an option is given twice in sqlite:///x?a=1&b=2&%61=1"),
        ("a=", "an option is empty in sqlite:///x?a="),
        ("a", "an option is empty in sqlite:///x?a"),
        ("=1", "an option is empty in sqlite:///x?=1"),
        ("b=2&a", "an option is empty in sqlite:///x?b=2&a"),
    ],
)
def test_an_option_is_given_once_and_has_a_name_and_a_value(query, reason):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(f"sqlite:///x?{query}")
    assert (caught.value.field, caught.value.reason) == ("url", reason)


@given(PASSWORDS)
def test_an_error_about_a_url_does_not_show_its_password(password):
    for url in (
        f"ada:{password}@host/db",
        f"postgresql:/ada:{password}@host/db",
        f"postgresql://ada:{quote(password, safe='')}@host/db?a=1&a=2",
        f"postgresql://host/db?password={quote(password, safe='')}&a=",
        f"host=h password={password.replace('&', '')}",
    ):
        with pytest.raises(ConfigurationError) as caught:
            parse_url(url)
        assert not shows(str(caught.value), password)
        assert not shows(repr(caught.value), password)


def test_the_repr_of_a_parsed_url_shows_no_secret():
    parsed = parse_url("postgresql://ada:S3CRET@host/db?password=S3CRET&a=1")
    assert (parsed.password, parsed.location) == ("S3CRET", "ada:S3CRET@host/db")
    assert "S3CRET" not in repr(parsed)
    assert re.fullmatch(r"DatabaseUrl\(scheme='postgresql'.*\)", repr(parsed))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_line_feed_at_the_end_of_a_secret_is_none_of_it(end: str) -> None:
    assert DatabaseConfig(url=f"sqlite:///engine.db{end}").url == "sqlite:///engine.db"
    assert ServerOptions(password=f"secret{end}").password == "secret"
    assert ServerOptions(password=f"two{end}words").password == f"two{end}words"


@pytest.mark.parametrize("character", ["\n", "\t", "\0", "\x1b", "\x7f"])
def test_a_control_character_in_a_url_is_refused_and_shown_escaped(character: str) -> None:
    with pytest.raises(ConfigurationError, match="a control character") as caught:
        parse_url(f"sqlite:///my{character}engine.db")
    assert character not in str(caught.value)
    assert (
        parse_url(f"sqlite:///my{quote(character)}engine.db").location == f"/my{character}engine.db"
    )
