"""API keys: made, shown once, checked, touched behind the caller's back, and revoked."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import pickle
import re
import sqlite3
import subprocess
import sys
import textwrap
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from unittest.mock import Mock
from uuid import uuid4

import attrs
import pytest
from anyio.from_thread import start_blocking_portal

import engine_store
from engine_store import ApiKey, Role, User, keys
from engine_store.errors import (
    AlreadyBootstrappedError,
    ApiKeyNotFoundError,
    EmailExistsError,
    InvalidKeyError,
    InvalidReferenceError,
    InvalidValueError,
    StoreClosedError,
    UserNotFoundError,
)
from engine_store.keys import secret as secrets_of_keys
from engine_store.plugins import hookimpl
from engine_store_contracts.clock import START, ManualClock

FORM = re.compile(r"es_[a-z0-9]{12}_[A-Za-z0-9]{43}")
WELL_FORMED = f"es_{'a' * 12}_{'B' * 43}"
MALFORMED = [
    "",
    "es_",
    WELL_FORMED[:-1],
    WELL_FORMED + "x",
    WELL_FORMED + "\n",
    " " + WELL_FORMED,
    WELL_FORMED.upper(),
    WELL_FORMED.replace("B", "é"),
    "\0",
    "\ud800",
    "x" * 1_000_000,
    None,
    7,
    WELL_FORMED.encode(),
]


class SyncFace:
    """The functions for a `Store`, on one that is open."""

    def __init__(self, store, stack):
        self.store = store
        self.stack = stack
        self.api_keys = store.api_keys

    def __getattr__(self, name):
        return partial(getattr(keys, name), self.store)

    def checker(self, **options):
        return self.stack.enter_context(keys.KeyChecker(self.store, **options))

    def checked_while_a_transaction_writes(self, checker, key, plaintext, at):
        with self.store.transaction() as tx:
            tx.api_keys.touch(key.key_id, at)
            return [checker.check(plaintext) for _ in range(3)]


class AsyncFace:
    """Those for an `AsyncStore`, called alike: the loop runs in a thread of its own."""

    def __init__(self, store, stack, portal):
        self._portal = portal
        self._async_store = store
        self.stack = stack
        self.api_keys = store.api_keys
        self.store = Mock(spec=["users", "api_keys", "workflows", "tasks"])
        for name in ("users", "api_keys"):
            setattr(self.store, name, Awaited(getattr(store, name), portal))

    def __getattr__(self, name):
        function = partial(getattr(keys, f"{name}_async"), self._async_store)
        return lambda *args, **named: self._portal.call(partial(function, *args, **named))

    def checker(self, **options):
        async def make():
            return keys.AsyncKeyChecker(self._async_store, **options)

        checker = self._portal.call(make)
        self.stack.enter_context(self._portal.wrap_async_context_manager(checker))
        return Awaited(checker, self._portal)

    def checked_while_a_transaction_writes(self, checker, key, plaintext, at):
        async def check():
            async with self._async_store.transaction() as tx:
                await tx.api_keys.touch(key.key_id, at)
                return [await checker.awaited.check(plaintext) for _ in range(3)]

        return self._portal.call(check)


class Awaited:
    """Methods that are awaited elsewhere."""

    def __init__(self, awaited, portal):
        self.awaited = awaited
        self._portal = portal

    def __getattr__(self, name):
        method = getattr(self.awaited, name)
        return lambda *args, **named: self._portal.call(partial(method, *args, **named))


class Touches:
    """Notes how each write of `last_used` ended."""

    def __init__(self):
        self.errors = []

    @hookimpl
    def engine_store_operation_finished(self, operation, error):
        if operation == "api_keys.touch":
            self.errors.append(error)


@pytest.fixture
def clock():
    """The clock of stores and checkers."""
    return ManualClock()


@pytest.fixture
def touches():
    """A listener of the stores."""
    return Touches()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """The URL of a new store, for each driver."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_store_url")
    return f"sqlite:///{tmp_path}/{uuid4()}.db"


@pytest.fixture(params=["sync", "async"])
def face(request, url, clock, touches):
    """Both faces of a new store."""
    options = {"clock": clock, "plugins": [touches]}
    with ExitStack() as stack:
        if request.param == "sync":
            yield SyncFace(stack.enter_context(engine_store.open(url, **options)), stack)
            return
        portal = stack.enter_context(start_blocking_portal())
        store = portal.call(partial(engine_store.open_async, url, **options))
        stack.enter_context(portal.wrap_async_context_manager(store))
        yield AsyncFace(store, stack, portal)


@pytest.fixture
def memory():
    """A store in memory, for what does not depend on the driver."""
    with engine_store.open("sqlite:///:memory:") as store:
        yield store


# --- making keys -------------------------------------------------------------------------------


def test_a_key_is_256_random_bits_behind_a_prefix_of_its_own(memory):
    user, _, _ = keys.bootstrap(memory, "ada@example.org")
    made = [keys.create(memory, user.user_id) for _ in range(20)]
    for key, secret in made:
        assert FORM.fullmatch(secret.reveal())
        assert secret.reveal().startswith(f"{key.prefix}_")
        assert secret.prefix == key.prefix
    assert len({secret.reveal()[-43:] for _, secret in made}) == 20
    assert 62**43 >= 2**256


def test_a_key_is_stored_with_its_sha_256_and_a_salted_hash(face):
    user, first, secret = face.bootstrap("ada@example.org")
    second, _ = face.create(user.user_id)
    assert face.store.api_keys.get(first.key_id) == first
    assert first == ApiKey(
        first.key_id,
        user.user_id,
        secret.prefix,
        sha256(secret.reveal().encode()).digest(),
        first.hash,
        created_at=START,
    )
    assert face.store.api_keys.list().items == tuple(
        sorted((first, second), key=lambda key: key.key_id)
    )
    again = secrets_of_keys.hash_of(secret)
    assert again != first.hash
    assert secrets_of_keys.proves(secret, attrs.evolve(first, hash=again))


def test_a_key_for_a_user_who_is_not_there_is_refused(face):
    with pytest.raises(InvalidReferenceError) as caught:
        face.create("nobody")
    assert (caught.value.field, caught.value.key) == ("user_id", "nobody")
    assert face.store.api_keys.list().items == ()


def test_a_key_may_be_made_in_a_transaction_and_goes_with_it(memory):
    user, _, _ = keys.bootstrap(memory, "ada@example.org")
    with pytest.raises(ZeroDivisionError), memory.transaction() as tx:
        _, secret = keys.create(tx, user.user_id)
        assert keys.check(tx, secret.reveal())[0] == user
        raise ZeroDivisionError
    with pytest.raises(InvalidKeyError):
        keys.check(memory, secret.reveal())


# --- the first admin ---------------------------------------------------------------------------


def test_bootstrap_makes_the_first_admin_and_its_key(face):
    user, key, secret = face.bootstrap("Ada@example.org")
    assert (user.email, user.role, user.version) == ("Ada@example.org", Role.ADMIN, 1)
    assert face.check(secret.reveal()) == (user, key)


def test_bootstrap_happens_once(face):
    user, key, _ = face.bootstrap("ada@example.org")
    with pytest.raises(AlreadyBootstrappedError):
        face.bootstrap("eve@example.org")
    assert face.store.users.list().items == (user,)
    assert face.store.api_keys.list().items == (key,)


def test_bootstrap_with_the_email_of_another_user_leaves_nothing(face):
    other = face.store.users.create(User("eve", "Eve@example.org"))
    with pytest.raises(EmailExistsError):
        face.bootstrap("eve@EXAMPLE.org")
    assert face.store.users.list().items == (other,)
    assert face.store.api_keys.list().items == ()


def test_an_admin_whose_key_cannot_be_stored_is_not_made(memory, monkeypatch):
    bad = attrs.evolve(secrets_of_keys.new_key("u")[0], user_id="somebody else")
    monkeypatch.setattr("engine_store.keys.sync.new_key", lambda user_id: (bad, None))
    with pytest.raises(InvalidReferenceError):
        keys.bootstrap(memory, "ada@example.org")
    assert memory.users.list().items == ()


def outcome(bootstrap, email):
    """What a call of `bootstrap` gave; the class of what it raised."""
    try:
        return bootstrap(email)
    except AlreadyBootstrappedError as error:
        return type(error)


def test_of_threads_that_race_to_bootstrap_one_wins(url):
    count = 8
    barrier = threading.Barrier(count)
    with engine_store.open(url) as store, ThreadPoolExecutor(count) as threads:

        def race(number):
            barrier.wait(30)
            return outcome(partial(keys.bootstrap, store), f"u{number}@example.org")

        outcomes = list(threads.map(race, range(count)))
        [won] = [one for one in outcomes if one is not AlreadyBootstrappedError]
        user, key, secret = won
        assert store.users.list().items == (user,)
        assert store.api_keys.list().items == (key,)
        assert keys.check(store, secret.reveal()) == (user, key)


def test_of_tasks_that_race_to_bootstrap_one_wins(url):
    async def race():
        async with await engine_store.open_async(url) as store:
            calls = [keys.bootstrap_async(store, f"u{n}@example.org") for n in range(8)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            [won] = [one for one in outcomes if not isinstance(one, AlreadyBootstrappedError)]
            assert (await store.users.list()).items == (won[0],)
            assert (await store.api_keys.list()).items == (won[1],)

    asyncio.run(race())


def test_of_processes_that_race_to_bootstrap_one_wins(url):
    program = """
        import sys
        import engine_store
        from engine_store import keys
        from engine_store.errors import AlreadyBootstrappedError

        with engine_store.open(sys.argv[1]) as store:
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                keys.bootstrap(store, sys.argv[2])
            except AlreadyBootstrappedError:
                print("late")
            else:
                print("won")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), url]
    with engine_store.open(url) as store, ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, f"u{number}@example.org"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(3)
        ]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        said = sorted(racer.communicate(timeout=60)[0] for racer in racers)
        assert said == ["late\n", "late\n", "won\n"]
        assert len(store.users.list().items) == len(store.api_keys.list().items) == 1


# --- checking ----------------------------------------------------------------------------------


def test_a_key_lets_its_own_user_in(face):
    admin, _, secret = face.bootstrap("ada@example.org")
    other = face.store.users.create(User("eve", "eve@example.org"))
    key, theirs = face.create("eve")
    assert face.check(theirs.reveal()) == (other, key)
    assert face.check(secret.reveal())[0] == admin


def refusal(check, plaintext):
    """What a key that is no good raises."""
    with pytest.raises(InvalidKeyError) as caught:
        check(plaintext)
    return caught.value


def test_a_refusal_does_not_tell_why(face):
    user, key, secret = face.bootstrap("ada@example.org")
    revoked_key, revoked = face.create(user.user_id)
    face.revoke(revoked_key.key_id)
    unproven_key, unproven = secrets_of_keys.new_key(user.user_id)
    other_hash = attrs.evolve(unproven_key, hash=key.hash)
    face.store.api_keys.create(other_hash)
    strange_key, strange = secrets_of_keys.new_key(user.user_id)
    face.store.api_keys.create(attrs.evolve(strange_key, hash=b"$2b$12$of another library"))
    short_key, short = secrets_of_keys.new_key(user.user_id)
    face.store.api_keys.create(attrs.evolve(short_key, hash=short_key.hash[:-1]))
    changed = secret.reveal()[:-1] + ("a" if secret.reveal()[-1] != "a" else "b")
    refused = [
        refusal(face.check, plaintext)
        for plaintext in (
            WELL_FORMED,
            changed,
            *(one.reveal() for one in (revoked, unproven, strange, short)),
            *MALFORMED,
        )
    ]
    assert {(str(one), repr(one), one.args) for one in refused} == {
        (str(InvalidKeyError()), repr(InvalidKeyError()), ())
    }
    assert {(one.__cause__, one.__context__) for one in refused} == {(None, None)}


@pytest.mark.parametrize("plaintext", MALFORMED, ids=lambda value: repr(value)[:20])
def test_what_cannot_be_a_key_is_not_looked_up(plaintext):
    refusal(partial(keys.check, Mock(spec=[])), plaintext)


def test_every_refusal_costs_one_hash_as_a_success_does(memory, monkeypatch):
    _, _, secret = keys.bootstrap(memory, "ada@example.org")
    hashed = []
    real = secrets_of_keys.hashlib.scrypt
    monkeypatch.setattr(
        secrets_of_keys.hashlib,
        "scrypt",
        lambda plaintext, **cost: hashed.append(cost) or real(plaintext, **cost),
    )
    keys.check(memory, secret.reveal())
    refusal(partial(keys.check, memory), WELL_FORMED)
    refusal(partial(keys.check, memory), "malformed")
    costs = [{name: cost[name] for name in cost if name != "salt"} for cost in hashed]
    assert costs == [{"n": 256, "r": 8, "p": 1, "dklen": 32}] * 3
    assert {len(cost["salt"]) for cost in hashed} == {16}


def test_hashes_are_compared_in_constant_time(memory, monkeypatch):
    _, key, secret = keys.bootstrap(memory, "ada@example.org")
    compare = Mock(wraps=secrets_of_keys.hmac.compare_digest)
    monkeypatch.setattr(secrets_of_keys.hmac, "compare_digest", compare)
    keys.check(memory, secret.reveal())
    refusal(partial(keys.check, memory), WELL_FORMED)
    assert compare.call_args_list[0].args == (key.hash[-32:], key.hash[-32:])
    assert compare.call_args_list[1].args[1] == bytes(32)


def test_the_key_of_a_user_deleted_in_the_middle_of_a_check_is_refused(face, monkeypatch):
    user, key, secret = face.bootstrap("ada@example.org")
    prove = secrets_of_keys.proves

    def delete_meanwhile(*args):
        face.store.users.delete(user.user_id)
        return prove(*args)

    monkeypatch.setattr("engine_store.keys.sync.proves", delete_meanwhile)
    monkeypatch.setattr("engine_store.keys.asynchronous.proves", delete_meanwhile)
    refusal(face.check, secret.reveal())
    with pytest.raises(UserNotFoundError):
        face.store.users.get(user.user_id)
    with pytest.raises(ApiKeyNotFoundError):
        face.store.api_keys.get(key.key_id)


def test_a_check_writes_nothing(face, touches):
    _, key, secret = face.bootstrap("ada@example.org")
    face.check(secret.reveal())
    assert face.store.api_keys.get(key.key_id) == key
    assert touches.errors == []


def test_trouble_of_the_store_comes_out_of_a_check_as_it_is(memory):
    _, _, secret = keys.bootstrap(memory, "ada@example.org")
    memory.close()
    with pytest.raises(StoreClosedError):
        keys.check(memory, secret.reveal())


# --- revoking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["key_id", "prefix"])
def test_a_revoked_key_is_refused_from_then_on(face, by):
    user, key, secret = face.bootstrap("ada@example.org")
    other, left = face.create(user.user_id)
    face.revoke(**{by: getattr(key, by)})
    refusal(face.check, secret.reveal())
    assert face.check(left.reveal()) == (user, other)


def test_a_key_that_is_not_there_cannot_be_revoked(memory):
    for name in ({"key_id": "k"}, {"prefix": "es_aaaaaaaaaaaa"}):
        with pytest.raises(ApiKeyNotFoundError) as caught:
            keys.revoke(memory, **name)
        assert caught.value.key in name.values()


@pytest.mark.parametrize("names", [{}, {"key_id": "k", "prefix": "p"}])
def test_a_key_is_revoked_by_one_name(names):
    with pytest.raises(InvalidValueError) as caught:
        keys.revoke(Mock(spec=[]), **names)
    assert str(caught.value) == "key_id: expected either an id or a prefix"


@pytest.mark.parametrize("name", ["key_id", "prefix"])
def test_a_whole_key_in_the_place_of_a_name_is_refused_and_not_quoted(name):
    with pytest.raises(InvalidValueError) as caught:
        keys.revoke(Mock(spec=[]), **{name: WELL_FORMED})
    assert str(caught.value) == (
        f"{name}: expected the id or the prefix of a key, found a whole key; keep it out of here"
    )


# --- last_used ---------------------------------------------------------------------------------


def test_a_checker_answers_as_check_does_and_then_writes_last_used(face, clock):
    user, key, secret = face.bootstrap("ada@example.org")
    checker = face.checker(clock=clock)
    clock.tick(5)
    assert checker.check(secret.reveal()) == (user, key)
    refusal(checker.check, WELL_FORMED)
    checker.close()
    touched = face.store.api_keys.get(key.key_id)
    assert touched == attrs.evolve(key, last_used=clock())


def test_last_used_is_written_once_in_an_interval(face, clock, touches):
    _, key, secret = face.bootstrap("ada@example.org")

    def check_and_flush():
        checker = face.checker(clock=clock)
        checker.check(secret.reveal())
        checker.close()  # another process would have a checker of its own, too
        return face.store.api_keys.get(key.key_id).last_used

    first = check_and_flush()
    assert first == START
    clock.tick(59.999999)
    assert check_and_flush() == first
    clock.tick(microseconds=1)
    assert check_and_flush() == clock()
    assert touches.errors == [None, None]


def test_an_interval_of_0_writes_at_each_check(face, clock, touches):
    _, _, secret = face.bootstrap("ada@example.org")
    for _ in range(3):
        checker = face.checker(clock=clock, touch_every=0)
        checker.check(secret.reveal())
        checker.close()
    assert touches.errors == [None] * 3


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_an_interval_that_is_none_is_refused(face, seconds):
    with pytest.raises(InvalidValueError) as caught:
        face.checker(touch_every=seconds)
    assert str(caught.value) == "touch_every: expected seconds, 0 or more"


def test_a_check_does_not_wait_for_a_write_and_asks_for_one_at_a_time(face, clock, touches):
    user, key, secret = face.bootstrap("ada@example.org")
    checker = face.checker(clock=clock)
    earlier = clock()
    clock.tick(100)
    # The transaction holds what the writing of last_used needs, until the checks are done.
    found = face.checked_while_a_transaction_writes(checker, key, secret.reveal(), earlier)
    assert found == [(user, key)] * 3
    checker.close()
    assert face.store.api_keys.get(key.key_id).last_used == clock()
    assert touches.errors == [None, None]  # that of the transaction, and one of the checker


def test_checks_from_many_threads_write_once(clock):
    touches = Touches()
    with engine_store.open("sqlite:///:memory:", plugins=[touches], clock=clock) as store:
        _, key, secret = keys.bootstrap(store, "ada@example.org")
        with keys.KeyChecker(store, clock=clock) as checker, ThreadPoolExecutor(8) as threads:
            checked = threads.map(checker.check, [secret.reveal()] * 200)
            assert {one.key_id for _, one in checked} == {key.key_id}
        assert set(touches.errors) == {None}
        assert store.api_keys.get(key.key_id).last_used == START
        assert len(touches.errors) <= 8  # a check that read the key before it was written


def test_a_write_that_fails_is_logged_and_tried_again_by_the_next_check(
    face, clock, caplog, monkeypatch
):
    user, key, secret = face.bootstrap("ada@example.org")
    caplog.set_level(logging.DEBUG)
    checker = face.checker(clock=clock)
    with monkeypatch.context() as patch:

        def fail(key_id, at):
            raise OSError("a detail that may be secret")

        patch.setattr(face.api_keys, "touch", fail)
        assert checker.check(secret.reveal()) == (user, key)
        checker.close()
    [record] = [one for one in caplog.records if one.name == "engine_store"]
    assert (record.levelname, record.getMessage(), record.exc_info) == (
        "WARNING",
        f"last_used of api key {key.key_id} was not written: OSError",
        None,
    )
    again = face.checker(clock=clock)
    again.check(secret.reveal())
    again.close()
    assert face.store.api_keys.get(key.key_id).last_used == START


def test_a_key_revoked_before_it_was_touched_is_nobodys_trouble(face, clock, caplog, monkeypatch):
    _, _, secret = face.bootstrap("ada@example.org")
    checker = face.checker(clock=clock)

    def revoked(key_id, at):
        raise ApiKeyNotFoundError(key_id)

    monkeypatch.setattr(face.api_keys, "touch", revoked)
    checker.check(secret.reveal())
    checker.close()
    assert [one for one in caplog.records if one.name == "engine_store"] == []


def test_a_closed_checker_still_checks_and_writes_no_more(face, clock, touches):
    user, key, secret = face.bootstrap("ada@example.org")
    checker = face.checker(clock=clock)
    checker.close()
    checker.close()
    for _ in range(2):
        assert checker.check(secret.reveal()) == (user, key)
    assert touches.errors == []


def test_the_child_of_a_fork_writes_last_used_by_itself(tmp_path, run_python):
    run_python(
        f"""
        import os
        import engine_store
        from engine_store import keys

        store = engine_store.open("sqlite:///{tmp_path}/engine.db")
        user, first, secret = keys.bootstrap(store, "ada@example.org")
        second, other = keys.create(store, user.user_id)
        checker = keys.KeyChecker(store)
        checker.check(secret.reveal())
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                checker.check(other.reveal())
                checker.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        checker.close()
        assert store.api_keys.get(first.key_id).last_used is not None
        assert store.api_keys.get(second.key_id).last_used is not None
        """
    )


# --- the plaintext is nowhere ------------------------------------------------------------------


@pytest.fixture
def secret():
    """A key's plaintext."""
    return secrets_of_keys.new_key("u")[1]


def test_a_secret_key_shows_a_mask(secret):
    masked = f"{secret.prefix}_***"
    assert repr(secret) == f"SecretKey({masked})"
    assert f"{secret}" == "{}".format(secret) == "%s" % secret == masked  # noqa: UP031, UP032
    assert repr({"key": [secret]}) == f"{{'key': [SecretKey({masked})]}}"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_key_cannot_be_pickled(secret, protocol):
    with pytest.raises(TypeError, match="not to be stored") as caught:
        pickle.dumps([secret], protocol)
    assert secret.reveal() not in str(caught.value)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_key_cannot_be_copied_or_written_as_json(secret, duplicate):
    with pytest.raises(TypeError):
        duplicate(secret)


def reported(call, *args, **named):
    """The report of what a call raises, with the variables of each of the library's frames."""
    try:
        call(*args, **named)
    except Exception as error:  # noqa: BLE001 - whatever it is
        below = error.__traceback__.tb_next
        report = traceback.TracebackException(type(error), error, below, capture_locals=True)
        return "".join(report.format()) + repr(error) + str(error) + repr(vars(error))
    raise AssertionError("nothing was raised")


def test_a_canary_is_in_no_log_report_or_row(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    path = tmp_path / "engine.db"
    seen = []
    try:
        with engine_store.open(f"sqlite:///{path}") as store:
            user, key, secret = keys.bootstrap(store, "ada@example.org")
            plaintext = secret.reveal()
            with keys.KeyChecker(store, touch_every=0) as checker:
                checker.check(plaintext)
                keys.revoke(store, prefix=key.prefix)
                seen += [
                    reported(checker.check, plaintext),
                    reported(keys.check, store, plaintext),
                    reported(asyncio.run, keys.check_async(Mock(spec=[]), plaintext)),
                    reported(keys.create, store, "nobody"),
                    reported(keys.bootstrap, store, "eve@example.org"),
                    reported(pickle.dumps, secret),
                    repr([user, key, secret, checker]),
                    str(attrs.asdict(key)),
                ]
            store.close()
            seen.append(reported(checker.check, plaintext))
    finally:
        logging.getLogger().removeHandler(handler)
    dump = "\n".join(sqlite3.connect(path).iterdump())
    files = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    canary = plaintext[-43:]
    assert all(canary not in text for text in [*seen, stream.getvalue(), caplog.text, dump])
    assert canary.encode() not in files
    assert secret.prefix in "".join(seen)  # which is no secret, and shows that it was looked at
