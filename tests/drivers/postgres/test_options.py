"""The settings of the PostgreSQL driver: where they come from, what is refused, what is sent."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine_store import DatabaseConfig
from engine_store.errors import ConfigurationError, EngineStoreError, UnavailableError
from engine_store.urls import parse_url
from engine_store_postgres.options import PostgresOptions, Target, read_options

TIMEOUTS = "-c statement_timeout=60000 -c lock_timeout=10000"

ALWAYS = {
    "application_name": "engine-store",
    "connect_timeout": "10",
    "client_encoding": "utf8",
    "options": TIMEOUTS,
}
"""What every connection is made with unless told otherwise."""


def read(url: str | None = None, **options: object) -> tuple[Target, PostgresOptions]:
    return read_options(DatabaseConfig(url=url, options=options))


def stated(url: str | None = None, **options: object) -> dict[str, Any]:
    """The parameters of the connection string, without those that are always there."""
    found = conninfo_to_dict(read(url, **options)[0].conninfo)
    return {name: value for name, value in found.items() if ALWAYS.get(name) != value}


@contextmanager
def refused(field: str, reason: str) -> Iterator[None]:
    """The block raises a `ConfigurationError` that names `field`, with exactly this reason."""
    with pytest.raises(ConfigurationError) as caught:
        yield
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert not caught.value.retriable


# --- where the database is -----------------------------------------------------------------------


def test_nothing_given_is_libpqs_own_default_with_time_limits() -> None:
    target, options = read()
    assert conninfo_to_dict(target.conninfo) == ALWAYS
    assert options == PostgresOptions()
    assert target.shown == "the default host, database of the user's name"
    assert target.password is None


@pytest.mark.parametrize("port", [5433, "5433"], ids=["int", "str"])
def test_separate_fields_become_a_connection_string(port: int | str) -> None:
    target, _ = read(
        host="db.example.org",
        port=port,
        user="ada",
        password="it's \\ a secret",
        dbname="engine",
        sslmode="require",
        target_session_attrs="read-write",
        application_name="worker 7",
        connect_timeout=3,
    )
    assert conninfo_to_dict(target.conninfo) == {
        "host": "db.example.org",
        "port": "5433",
        "user": "ada",
        "password": "it's \\ a secret",
        "dbname": "engine",
        "sslmode": "require",
        "target_session_attrs": "read-write",
        "application_name": "worker 7",
        "connect_timeout": "3",
        "client_encoding": "utf8",
        "options": TIMEOUTS,
    }
    assert target.shown == "db.example.org, database engine"
    assert target.password == "it's \\ a secret"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_has_all_of_it_in_one_line(scheme: str) -> None:
    url = f"{scheme}://ada:p%40ss@db.example.org:5433/engine?sslmode=require&connect_timeout=3"
    assert stated(url) == {
        "host": "db.example.org",
        "port": "5433",
        "user": "ada",
        "password": "p@ss",
        "dbname": "engine",
        "sslmode": "require",
        "connect_timeout": "3",
    }


@pytest.mark.parametrize(
    "connection_string",
    [
        "postgresql://ada@one:5433/engine?application_name=mine",
        "host=one port=5433 user=ada dbname=engine application_name=mine",
        "host = 'one' port='5433' user=ada dbname=engine application_name = 'mine'",
    ],
    ids=["url", "pairs", "quoted pairs"],
)
def test_a_connection_string_is_a_url_or_pairs(connection_string: str) -> None:
    assert stated(conn_string=connection_string) == {
        "host": "one",
        "port": "5433",
        "user": "ada",
        "dbname": "engine",
        "application_name": "mine",
    }


SEPARATE = {
    "host": "two",
    "port": 1,
    "user": "bob",
    "password": "his",
    "dbname": "other",
    "application_name": "theirs",
    "connect_timeout": 9,
}


def test_a_url_wins_over_separate_fields() -> None:
    url = "postgresql://ada:mine@one:2/engine?application_name=x&connect_timeout=3"
    assert stated(url, **SEPARATE) == stated(url)


def test_a_connection_string_wins_over_separate_fields() -> None:
    pairs = (
        "host=one port=2 user=ada password=mine dbname=engine application_name=x connect_timeout=3"
    )
    target, _ = read(conn_string=pairs, **SEPARATE)
    assert stated(conn_string=pairs, **SEPARATE) == stated(conn_string=pairs)
    assert (target.shown, target.password) == ("one, database engine", "mine")


def test_separate_fields_fill_what_a_url_or_a_connection_string_leaves_out() -> None:
    expected = {**SEPARATE, "host": "one", "port": "1", "connect_timeout": "9"}
    assert stated("postgresql://one", **SEPARATE) == expected
    assert stated(conn_string="host=one", **SEPARATE) == expected


def test_a_url_and_a_connection_string_are_refused_together() -> None:
    with refused("options.conn_string", "expected a URL or this, found both"):
        read("postgresql://one/engine", conn_string="host=two")


def test_several_hosts_are_tried_in_turn() -> None:
    assert stated("postgresql://one:1,two:2/engine") == {
        "host": "one,two",
        "port": "1,2",
        "dbname": "engine",
    }
    assert stated(host="one,two", port="1,2", dbname="engine") == {
        "host": "one,two",
        "port": "1,2",
        "dbname": "engine",
    }
    assert read(host="one,two", dbname="engine")[0].shown == "one,two, database engine"


def test_a_configuration_that_names_nothing_means_postgres() -> None:
    assert DatabaseConfig().driver_name == "postgres"


# --- the driver's own settings -------------------------------------------------------------------

OWN = {
    "schema": "mine",
    "pool_min_size": 2,
    "pool_max_size": 20,
    "pool_timeout": 0.5,
    "pool_max_waiting": 7,
    "pool_max_idle": 30.0,
    "pool_max_lifetime": 60.0,
    "check": "query",
    "statement_timeout": 1.5,
    "lock_timeout": 0.25,
    "pgvector": True,
}


def test_own_settings_are_taken_out_of_the_url_and_libpqs_stay() -> None:
    query = "&".join(f"{name}={value}" for name, value in OWN.items())
    url = f"postgresql://one/engine?keepalives=1&{query}&sslmode=require"
    target, options = read(url)
    assert options == evolve(PostgresOptions(), sslmode="require", **OWN)
    assert conninfo_to_dict(target.conninfo) == {
        **ALWAYS,
        "host": "one",
        "dbname": "engine",
        "keepalives": "1",
        "sslmode": "require",
        "options": "-c statement_timeout=1500 -c lock_timeout=250",
    }


def test_own_settings_may_stand_in_the_options_too_and_win_there() -> None:
    assert read(**OWN)[1] == evolve(PostgresOptions(), **OWN)
    assert read("postgresql://one?schema=theirs&check=off", **OWN)[1] == evolve(
        PostgresOptions(), **OWN
    )


@pytest.mark.parametrize("text", ["true", "TRUE", "yes", "on", "1"])
def test_a_switch_of_a_url_is_on(text: str) -> None:
    assert read(f"postgresql://one?pgvector={text}")[1].pgvector is True


@pytest.mark.parametrize("text", ["false", "No", "off", "0"])
def test_a_switch_of_a_url_is_off(text: str) -> None:
    assert read(f"postgresql://one?pgvector={text}")[1].pgvector is False


@pytest.mark.parametrize("check", ["socket", "query", "off"])
def test_a_choice_is_one_of_those_offered(check: str) -> None:
    assert read(f"postgresql://one?check={check}")[1].check == check


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout", "pool_timeout"])
def test_a_whole_number_of_seconds_is_a_number_of_seconds(name: str) -> None:
    for value in (7, "7"):
        found = getattr(read(**{name: value})[1], name)
        assert found == 7
        assert type(found) is float


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pgvector", "maybe", "true or false"),
        ("pool_max_size", "many", "a whole number"),
        ("pool_max_size", "8.5", "a whole number"),
        ("pool_timeout", "soon", "a duration, such as 5s or 2m"),
        ("pool_timeout", "nan", "a duration, such as 5s or 2m"),
        ("pool_timeout", "inf", "a duration, such as 5s or 2m"),
        ("lock_timeout", "1 day", "a duration, such as 5s or 2m"),
        ("connect_timeout", "long", "a duration, such as 5s or 2m"),
    ],
)
def test_text_of_a_url_that_is_no_such_value_is_refused(
    name: str, text: str, expected: str
) -> None:
    with refused("options", f"options.{name}: expected {expected}, found text"):
        read(f"postgresql://one?{name}={text}")


def test_a_choice_that_is_not_offered_is_refused_with_those_that_are() -> None:
    with refused("options", "options.check: expected one of socket, query, off, found text"):
        read("postgresql://one?check=sometimes")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"port": True}, "port"),
        ({"port": 54.32}, "port"),
        ({"host": 127}, "host"),
        ({"password": b"bytes"}, "password"),
        ({"pgvector": 1}, "pgvector"),
        ({"pool_max_size": True}, "pool_max_size"),
        ({"pool_max_size": 8.0}, "pool_max_size"),
        ({"schema": None}, "schema"),
        ({"application_name": None}, "application_name"),
    ],
)
def test_a_value_of_another_type_is_refused_naming_its_setting(
    options: dict[str, object], name: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^options\.{name}: expected "):
        read(**options)


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read("postgresql://one?pgvector=maybe&check=sometimes", nonsense=1)
    for name in ("pgvector", "check", "nonsense"):
        assert name in caught.value.reason


# --- what nobody knows ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shema", "options", "keepalives", "Schema", ""])
def test_an_unknown_option_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(**{name: "x"})
    assert caught.value.field == "options"
    assert caught.value.reason.startswith(f"options.{name}: no setting is called so; ")


def test_an_unknown_option_is_refused_beside_a_url_too() -> None:
    with pytest.raises(ConfigurationError, match="no setting is called so; did you mean schema"):
        read("postgresql://one/engine", shema="mine")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("shema=mine", "shema"),
        ("sslmode=require&shema=mine&schema=mine", "shema"),
        ("zeal=1&appetite=2", "appetite, zeal"),
        ("Schema=mine", "Schema"),
    ],
)
def test_an_unknown_parameter_of_a_url_is_refused_by_its_name(query: str, names: str) -> None:
    with refused("url", f"no parameter of a PostgreSQL URL is called {names}"):
        read(f"postgresql://one/engine?{query}")


def test_an_unknown_parameter_of_a_connection_string_is_refused() -> None:
    with refused("options.conn_string", "no parameter of a PostgreSQL URL is called shema"):
        read(conn_string="postgresql://one/engine?shema=mine")
    with pytest.raises(ConfigurationError, match="or key=value pairs;") as pairs:
        read(conn_string="host=one shema=mine")
    assert pairs.value.field == "options.conn_string"


def test_a_url_option_without_a_value_or_given_twice_is_refused() -> None:
    with refused("url", "an option is empty in postgresql://one?sslmode="):
        read("postgresql://one?sslmode=")
    with refused("url", "an option is given twice in postgresql://one?port=1&port=2"):
        read("postgresql://one?port=1&port=2")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://[::1/engine",
        "postgresql://one:1:2/%zz",
        "postgresql://one/%00",
        "postgres:///%",
    ],
)
def test_a_url_that_libpq_cannot_read_is_refused_with_the_form_it_should_have(text: str) -> None:
    reason = (
        "expected postgresql://user:password@host:port/dbname?option=value, with %-escapes for "
        f"special characters in a password, or key=value pairs; libpq cannot read {text}"
    )
    with refused("url", reason):
        read(text)


def test_the_case_of_the_scheme_does_not_matter() -> None:
    assert stated("PostgreSQL://one/engine") == stated("postgresql://one/engine")


# --- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "minimum"),
    [
        ("connect_timeout", 1),
        ("pool_timeout", 0),
        ("pool_max_idle", 1),
        ("pool_max_lifetime", 1),
        ("statement_timeout", 0),
        ("lock_timeout", 0),
    ],
)
def test_a_time_is_at_most_a_day_and_not_less_than_makes_sense(name: str, minimum: int) -> None:
    for value in (minimum, 86_400):
        assert getattr(read(**{name: value})[1], name) == value
    for value in (minimum - 1, 86_401, -86_400):
        reason = f"options.{name}: expected {minimum} to 86400 seconds"
        with refused("options", reason):
            read(**{name: value})
        with refused("options", reason):
            read(f"postgresql://one?{name}={value}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", "5"), ("2m", "120"), ("1.5", "2"), ("1500ms", "2")]
)
def test_a_connection_is_waited_for_in_whole_seconds(text: str, seconds: str) -> None:
    assert stated(connect_timeout=text)["connect_timeout"] == seconds


@pytest.mark.parametrize(
    ("minimum", "maximum", "reason"),
    [
        (-1, 8, "options.pool_min_size: expected 0 or more"),
        (0, 0, "options.pool_max_size: expected 1 or more"),
        (1, -1, "options.pool_max_size: expected 1 or more"),
    ],
)
def test_a_pool_has_a_size(minimum: int, maximum: int, reason: str) -> None:
    with refused("options", reason):
        read(pool_min_size=minimum, pool_max_size=maximum)


@pytest.mark.parametrize(("minimum", "maximum"), [(9, 8), (2, 1)])
def test_a_pool_keeps_no_more_connections_than_it_may_have(minimum: int, maximum: int) -> None:
    with refused("options.pool_min_size", f"expected at most pool_max_size, which is {maximum}"):
        read(pool_min_size=minimum, pool_max_size=maximum)


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 1), (1, 1), (8, 8)])
def test_a_pool_may_keep_none_or_all(minimum: int, maximum: int) -> None:
    options = read(pool_min_size=minimum, pool_max_size=maximum)[1]
    assert (options.pool_min_size, options.pool_max_size) == (minimum, maximum)


def test_a_number_of_callers_that_wait_is_not_negative() -> None:
    assert read(pool_max_waiting=0)[1].pool_max_waiting == 0
    with refused("options", "options.pool_max_waiting: expected 0 or more"):
        read(pool_max_waiting=-1)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "abc", "5432x", "1,abc"])
def test_a_port_that_cannot_be_one_is_refused_naming_it(port: str) -> None:
    with pytest.raises(ConfigurationError, match="port"):
        read(host="one", port=port)
    with pytest.raises(ConfigurationError, match="port"):
        read(f"postgresql://one?port={port}")


@pytest.mark.parametrize("name", ["sslmode", "target_session_attrs"])
def test_a_choice_of_libpq_that_it_does_not_offer_is_refused_naming_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read(**{name: "sometimes"})
    with pytest.raises(ConfigurationError, match=name):
        read(f"postgresql://one?{name}=sometimes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "abc"),
        ("sslmode", "sometimes"),
        ("target_session_attrs", "sometimes"),
        ("connect_timeout", "0"),  # to libpq: without end
    ],
)
def test_a_value_is_checked_wherever_it_stands(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read(conn_string=f"host=one {name}={value}")
    with pytest.raises(ConfigurationError, match=name):
        read(conn_string=f"postgresql://one?{name}={value}")
    usable = {"port": 5432, "sslmode": "require", "target_session_attrs": "any"}
    with pytest.raises(ConfigurationError, match=name):  # although an option stands beside it
        read(f"postgresql://one?{name}={value}", **{name: usable.get(name, 5)})


@pytest.mark.parametrize("address", ["one:65536", "one:abc", "one:1,two:0", "[::1]:65536"])
def test_a_port_in_the_address_of_a_url_is_checked_too(address: str) -> None:
    with pytest.raises(ConfigurationError, match="port"):
        read(f"postgresql://{address}/engine")


@pytest.mark.parametrize("name", ["host", "port", "user", "password", "dbname", "application_name"])
def test_a_field_with_a_nul_is_refused_because_libpq_would_stop_reading_there(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read(**{name: "1\0002"})


@pytest.mark.parametrize("name", ["a", "_", "engine_store", "public", "pg", "x1", "a" * 63])
def test_a_schema_is_a_plain_name(name: str) -> None:
    assert read(schema=name)[1].schema == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "Mine",
        "mine-too",
        "mine.too",
        'mine"too',
        "mine too",
        "mine\n",
        "pg_mine",
        "pg_",
        "é",
        "a" * 64,
        "x; DROP SCHEMA public",
    ],
)
def test_a_schema_that_would_need_quotes_or_is_the_systems_is_refused(name: str) -> None:
    reason = (
        "expected a name of small letters, digits and _, at most 63 characters, that does not "
        f"begin with a digit or pg_, found {name!r}"
    )
    with refused("options", f"options.schema: {reason}"):
        read(schema=name)


# --- PgBouncer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize("value", [0, 5])
def test_behind_pgbouncer_a_time_limit_is_the_roles(name: str, value: int) -> None:
    reason = (
        "PgBouncer shares a server's sessions among its clients, so it cannot be set here; set it "
        f"for the role: ALTER ROLE ... SET {name} = ..."
    )
    with refused(f"options.{name}", reason):
        read("postgresql://one/engine?pgbouncer=true", **{name: value})


def test_pgbouncer_is_sent_no_settings_of_the_server() -> None:
    target, _ = read("postgresql://one/engine?pgbouncer=true")
    assert conninfo_to_dict(target.conninfo) == {
        "host": "one",
        "dbname": "engine",
        "application_name": "engine-store",
        "connect_timeout": "10",
        "client_encoding": "utf8",
    }


# --- what reaches the server ---------------------------------------------------------------------


def shown(target: Target, *names: str) -> list[str]:
    """Settings as a server shows them to a connection to `target`."""
    with psycopg.connect(target.conninfo) as connection:
        rows = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    return [value for (value,) in rows]  # type: ignore[misc]


def schema_of(url: str) -> str:
    return parse_url(url).options["schema"]


NAMES = ("statement_timeout", "lock_timeout", "application_name", "client_encoding")


def test_the_time_limits_and_the_name_reach_the_server(postgres_url: str) -> None:
    assert shown(read(postgres_url)[0], *NAMES) == ["1min", "10s", "engine-store", "UTF8"]


def test_other_time_limits_and_another_name_reach_it_too(postgres_url: str) -> None:
    target, _ = read(
        **conninfo_to_dict(postgres_url),
        statement_timeout=2.5,
        lock_timeout=0.001,
        application_name="w 7",
    )
    assert shown(target, *NAMES) == ["2500ms", "1ms", "w 7", "UTF8"]


def test_no_time_limit_is_none_at_the_server(postgres_url: str) -> None:
    target, _ = read(postgres_url, statement_timeout=0, lock_timeout=0)
    assert shown(target, "statement_timeout", "lock_timeout") == ["0", "0"]


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
def test_the_shortest_time_limit_is_not_none(postgres_url: str, name: str) -> None:
    target, _ = read(postgres_url, **{name: 0.0004})
    assert shown(target, name) == ["1ms"]


def test_settings_of_the_server_that_the_caller_states_win(postgres_url: str) -> None:
    stating = make_conninfo(postgres_url, options="-c lock_timeout=3s -c work_mem=5MB")
    target, _ = read(conn_string=stating, statement_timeout=7, lock_timeout=7)
    assert shown(target, "statement_timeout", "lock_timeout", "work_mem") == ["7s", "3s", "5MB"]


def test_behind_pgbouncer_the_servers_own_time_limits_hold(postgres_url: str) -> None:
    target, _ = read(postgres_url, pgbouncer=True)
    assert shown(target, "statement_timeout", "lock_timeout") == ["0", "0"]


def test_a_store_opens_however_short_its_callers_wait_for_a_connection(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    store = open_store(postgres_store_url, pool_timeout=0)
    assert store.health().ok


@pytest.mark.parametrize("wanted", ["any", "read-write", "primary"])
def test_of_several_hosts_the_one_that_serves_is_found(
    open_store: Callable[..., Any],
    postgres_url: str,
    postgres_store_url: str,
    wanted: str,
) -> None:
    place = conninfo_to_dict(postgres_url)
    place["host"] = f"/nowhere,{place['host']}"
    schema = schema_of(postgres_store_url)
    store = open_store(**place, schema=schema, target_session_attrs=wanted)
    assert store.health().ok


def test_where_no_host_serves_as_wanted_none_is_used(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    with pytest.raises(UnavailableError) as caught:
        open_store(postgres_store_url, target_session_attrs="standby")
    assert caught.value.retriable
    assert "server is not in hot standby mode" in caught.value.reason


def test_a_store_opens_by_separate_fields_without_a_url_or_a_driver(
    open_store: Callable[..., Any], postgres_url: str, postgres_store_url: str
) -> None:
    schema = schema_of(postgres_store_url)
    assert open_store(**conninfo_to_dict(postgres_url), schema=schema).health().ok


def test_a_store_opens_by_a_connection_string(
    open_store: Callable[..., Any], postgres_url: str, postgres_store_url: str
) -> None:
    schema = schema_of(postgres_store_url)
    pairs = make_conninfo("", **conninfo_to_dict(postgres_url))
    assert open_store(conn_string=pairs, schema=schema).health().ok


def test_the_short_scheme_opens_the_same_store(
    open_store: Callable[..., Any], postgres_store_url: str
) -> None:
    short = postgres_store_url.replace("postgresql://", "postgres://")
    assert short.startswith("postgres://")
    open_store(postgres_store_url)
    assert open_store(short, auto_migrate=False).health() == open_store(short).health()


# --- secrets -------------------------------------------------------------------------------------

# A password is recognised by a mark of its own on both ends.
PASSWORDS = st.text(st.sampled_from("@:/?#&=%+ \\'\"[]é\n.x"), max_size=10).map(
    lambda inner: f"S3CRET{inner}T3RCES"
)
TAILS = st.sampled_from(
    ["", "/", "/db", ":5432/db", "/db?sslmode=require", "/db?foo=1", "/db?user=a@b:c", "/%zz", "?x"]
)


def said(url: str | None = None, **options: object) -> str:
    """All that may come to be shown where a configuration is read: reprs, or an error."""
    config = DatabaseConfig(url=url, options=options)
    try:
        target, options_read = read_options(config)
    except EngineStoreError as error:
        return "\n".join(
            [str(error), repr(error), *traceback.format_exception(error), repr(config)]
        )
    return "\n".join([repr(target), str(target), target.shown, repr(options_read), repr(config)])


def shows_a_secret(text: str) -> bool:
    return "S3CRET" in text or "T3RCES" in text


@settings(deadline=None)
@given(PASSWORDS)
def test_a_password_arrives_as_it_is_and_is_never_shown(password: str) -> None:
    for target, found in (
        read(f"postgresql://ada:{quote(password, safe='')}@one/engine"),
        read(f"postgresql://ada@one/engine?password={quote(password, safe='')}"),
        read(host="one", user="ada", dbname="engine", password=password),
        read(conn_string=make_conninfo("host=one", password=password)),
    ):
        assert conninfo_to_dict(target.conninfo)["password"] == password
        assert target.password == password
        assert not shows_a_secret(f"{target!r} {target} {target.shown} {found!r}")


@settings(deadline=None)
@given(PASSWORDS, TAILS)
def test_a_quoted_password_is_not_shown_where_the_rest_of_the_url_is_wrong(
    password: str, tail: str
) -> None:
    assert not shows_a_secret(said(f"postgresql://ada:{quote(password, safe='')}@one{tail}"))


@settings(deadline=None)
@given(PASSWORDS, TAILS)
@example("S3CRET/T3RCES", "/db")
@example("S3CRET@T3RCES", "/db")
@example("S3CRET?@T3RCES", "/db")
@example("S3CRET?T3RCES=", "/db?foo=1")
@example("x/y?S3CRET=", "/db")
def test_a_password_that_should_have_been_quoted_is_not_shown_either(
    password: str, tail: str
) -> None:
    assert not shows_a_secret(said(f"postgresql://ada:{password}@one{tail}"))


@settings(deadline=None)
@given(PASSWORDS, st.sampled_from(["", " x", " foo=1", "'", " = "]))
@example("S3CRET &T3RCES", " x")
@example("a://b?S3CRET=1", " x")
def test_the_password_of_pairs_that_cannot_be_read_is_not_shown(password: str, tail: str) -> None:
    assert not shows_a_secret(said(conn_string=f"host=one password={password}{tail}"))
    assert not shows_a_secret(said(conn_string=f"host=one password='{password}{tail}"))


@settings(deadline=None)
@given(PASSWORDS)
def test_a_connection_string_where_a_url_should_be_does_not_show_its_password(
    password: str,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(f"host=one password={password}")
    assert not shows_a_secret("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("wrong", [{"password": 7}, {"sslpassword": "S3CRET"}, {"schema": "S!"}])
def test_a_mistake_in_the_options_does_not_show_the_password_beside_it(
    wrong: dict[str, object],
) -> None:
    options = {"password": "S3CRET", "conn_string": "password=S3CRET", **wrong}
    assert not shows_a_secret(said(**options))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:S3CRET@/db?host=/nowhere",
        "postgresql://ada@/db?host=/nowhere&password=S3CRET",
        "postgresql://localhost:S3CRET/T3RCES@one/db",  # libpq: a host, a port and a database
    ],
)
def test_a_server_that_cannot_be_reached_does_not_show_the_password(
    open_store: Callable[..., Any], url: str
) -> None:
    with pytest.raises(EngineStoreError) as caught:
        open_store(url)
    assert not shows_a_secret("".join(traceback.format_exception(caught.value)))
