"""The context of a run: its configuration and its logger, and the fields that records carry."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier

import pytest

import engine_store
from engine_store import Config, DatabaseConfig
from engine_store.run_context import LOGGER, Context, Fields

ONE = Config(DatabaseConfig(driver="one"))
TWO = Config(DatabaseConfig(driver="two"))


@pytest.fixture(autouse=True)
def _everything_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)


# --- what is current ---------------------------------------------------------------------------


def test_without_a_context_there_are_defaults():
    assert engine_store.current() == Context(Config(), logging.getLogger("engine_store"))


def test_a_context_holds_for_its_block():
    logger = logging.getLogger("mine")
    with engine_store.context(config=ONE, logger=logger) as made:
        assert engine_store.current() is made
        assert (made.config, made.logger) == (ONE, logger)
    assert engine_store.current().config == Config()


def test_what_an_inner_context_does_not_say_stays_as_it_was():
    logger = logging.getLogger("mine")
    with engine_store.context(config=ONE, logger=logger):
        with engine_store.context(config=TWO):
            assert engine_store.current() == Context(TWO, logger)
        with engine_store.context(logger=logging.getLogger("other")):
            assert engine_store.current().config == ONE
        assert engine_store.current() == Context(ONE, logger)


def test_a_context_ends_with_an_error_too():
    with pytest.raises(ValueError), engine_store.context(config=ONE):
        raise ValueError
    assert engine_store.current().config == Config()


def test_each_thread_has_its_own():
    together = Barrier(2)

    def see(config: Config) -> Config:
        with engine_store.context(config=config):
            together.wait(timeout=30)
            return engine_store.current().config

    with engine_store.context(config=TWO), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(see, [ONE, TWO])) == [ONE, TWO]
        assert pool.submit(engine_store.current).result().config == Config()
        assert pool.submit(copy_context().run, engine_store.current).result().config == TWO


def test_each_task_has_its_own_and_begins_with_that_of_its_maker():
    async def see(config: Config | None, together: asyncio.Barrier) -> Config:
        with engine_store.context(config=config):
            await together.wait()
            return engine_store.current().config

    async def main() -> list[Config]:
        together = asyncio.Barrier(3)
        with engine_store.context(config=TWO):
            return await asyncio.gather(*(see(config, together) for config in (ONE, None, ONE)))

    assert asyncio.run(main()) == [ONE, TWO, ONE]


# --- fields ------------------------------------------------------------------------------------


def test_bound_fields_are_attributes_of_each_record_and_stand_behind_its_message(caplog):
    logger = engine_store.current().bound(driver="sqlite", operation="tasks.get")
    logger.info("read %d rows", 3)
    logger.warning("slow")
    assert [record.getMessage() for record in caplog.records] == [
        "read 3 rows driver=sqlite operation=tasks.get",
        "slow driver=sqlite operation=tasks.get",
    ]
    assert {(record.driver, record.operation) for record in caplog.records} == {
        ("sqlite", "tasks.get")
    }


def test_fields_of_a_call_are_added_to_those_bound(caplog):
    engine_store.current().bound(driver="sqlite", a=1).info("x", extra={"a": 2, "b": 3})
    assert caplog.records[0].getMessage() == "x driver=sqlite a=2 b=3"
    assert (caplog.records[0].a, caplog.records[0].b) == (2, 3)


def test_without_fields_a_message_is_itself(caplog):
    engine_store.current().bound().info("x")
    assert caplog.records[0].getMessage() == "x"


def test_a_percent_sign_in_a_field_is_no_format(caplog):
    logger = engine_store.current().bound(path="a%20b%s")
    logger.info("one %s", "1")
    logger.info("100%")
    assert [record.getMessage() for record in caplog.records] == [
        "one 1 path=a%20b%s",
        "100% path=a%20b%s",
    ]


@pytest.mark.parametrize("name", ["name", "args", "msg", "message", "module", "asctime"])
def test_a_field_may_be_called_as_an_attribute_that_records_have(name, caplog):
    engine_store.current().bound(**{name: "x"}).info("m")
    assert caplog.records[0].getMessage() == f"m {name}=x"
    assert getattr(caplog.records[0], f"{name}_") == "x"


def test_a_context_whose_logger_has_fields_adds_to_them(caplog):
    with engine_store.context(logger=engine_store.current().bound(run=1, step=1)):
        engine_store.current().bound(step=2).info("x")
    assert caplog.records[0].getMessage() == "x run=1 step=2"


def test_an_adapter_of_others_keeps_its_words(caplog):
    class Shouting(logging.LoggerAdapter):
        def process(self, msg, kwargs):
            return msg.upper(), kwargs

    with engine_store.context(logger=Shouting(logging.getLogger(LOGGER))):
        engine_store.current().bound(a="b").info("x")
    assert caplog.records[0].getMessage() == "X A=B"


def test_a_record_names_the_line_of_the_caller(caplog):
    engine_store.current().bound(a=1).info("x")
    engine_store.current().bound(a=1).log(logging.INFO, "x")
    assert {(record.filename, record.funcName) for record in caplog.records} == {
        ("test_context.py", "test_a_record_names_the_line_of_the_caller")
    }


def test_nothing_is_recorded_below_the_level(caplog):
    caplog.set_level(logging.WARNING, LOGGER)
    logger = engine_store.current().bound(a=1)
    logger.info("x")
    assert isinstance(logger, Fields)
    assert caplog.records == []
