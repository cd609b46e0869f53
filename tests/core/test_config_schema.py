"""The JSON Schema of configurations: it is one, and it agrees with the loader."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from engine_store import load
from engine_store.config.structure import names_of
from engine_store.errors import ConfigurationError
from engine_store.startup import json_schema
from engine_store.startup.loading import COMMON, SECTIONS
from engine_store_mariadb.options import MariadbOptions
from engine_store_memory import MemoryOptions
from engine_store_postgres.options import PostgresOptions
from engine_store_sqlite.options import SqliteOptions


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(schema)


VALID = [
    "",
    "[database]",
    "database.driver = 'sqlite'",
    "[database]\ndriver='sqlite'\npath='a'\nbusy_timeout='5s'\nreaders=2\nsynchronous='off'",
    "[database]\nurl='sqlite:///a'\nbase_dir='data'\nmigration_timeout='2m'\nauto_migrate=false",
    "[database]\nhost='h'\nport=5432\nname='n'\nssl_mode='require'\npool_timeout=1.5",
    "[database]\nport='1,2'\ncheck='off'\nlock_timeout='500ms'\npgvector=true",
    "[database]\nurl='postgresql://h/d'\nschema='mine'",
    "[database]\ndriver='${D:-sqlite}'\nreaders='${R:-3}'\nbusy_timeout='${T:-1}'",
    "worker.max_concurrent_workflows = 1",
    "worker.max_concurrent_workflows = '${N:-3}'",
    "knowledge.vector_dbs = []",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimension=3",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='qdrant'\ndimension=3\nurl='http://x'",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='redis'\ndimension=3\nurl='redis://x'",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='filesystem'\ndimension=3\npath='x'",
]

INVALID = [
    "databse = {}",
    "driver = 'sqlite'",
    "database = []",
    "database = 'sqlite'",
    "database.driver = 'mysql'",
    "database.driver = 3",
    "[database]\ndriver='sqlite'\nhost='h'",
    "[database]\nurl='sqlite:///a'\npool_max_size=3",
    "[database]\ndriver='postgres'\npath='a'",
    "[database]\ndriver='sqlite'\nreaders=0",
    "[database]\ndriver='sqlite'\nreaders='many'",
    "[database]\ndriver='sqlite'\nbusy_timeout=-1",
    "[database]\ndriver='sqlite'\nbusy_timeout=86401",
    "[database]\ndriver='sqlite'\nbusy_timeout='5 parsecs'",
    "[database]\ndriver='sqlite'\nsynchronous='fulll'",
    "[database]\ndriver='postgres'\npool_max_size=0",
    "[database]\nauto_migrate='perhaps'",
    "[database]\nvectors=true",
    "[database]\npassword=1234",
    "worker.max_concurrent_workflows = 0",
    "worker.max_concurrent_workflows = 1.5",
    "worker.max_concurrent_workflows = true",
    "worker.threads = 3",
    "knowledge.vector_dbs = {}",
    "knowledge.vector_dbs = ['a']",
    "[[knowledge.vector_dbs]]\nprovider='pgvector'\ndimension=3",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='chroma'\ndimension=3",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimension=0",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='qdrant'\ndimension=3",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='pgvector'\ndimension=3\nurl='http://x'",
    "[[knowledge.vector_dbs]]\nid='a'\nprovider='filesystem'\ndimension=3\nurl='http://x'",
]


def test_it_is_a_schema(schema):
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", VALID)
def test_what_the_loader_takes_the_schema_takes(text, validator, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    load(tmp_path / "a.toml", environment={})
    assert list(validator.iter_errors(tomllib.loads(text))) == []


@pytest.mark.parametrize("text", INVALID)
def test_what_the_loader_refuses_the_schema_refuses(text, validator, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigurationError):
        load(tmp_path / "a.toml", environment={})
    assert not validator.is_valid(tomllib.loads(text))


def test_empty_sections_and_values_of_yaml_are_valid(validator):
    assert validator.is_valid({"database": None, "worker": None, "knowledge": None})
    assert validator.is_valid({"database": {"url": None}})


def test_every_setting_is_described_and_no_other(schema):
    sections = {name: one["anyOf"][0] for name, one in schema["properties"].items()}
    drivers = {
        **names_of(MariadbOptions),
        **names_of(MemoryOptions),
        **names_of(SqliteOptions),
        **names_of(PostgresOptions),
    }
    assert sections.keys() == SECTIONS.keys()
    assert sections["database"]["properties"].keys() == {*COMMON, *drivers}
    for name in ("knowledge", "worker"):
        assert sections[name]["properties"].keys() == names_of(SECTIONS[name]).keys()
    for section in sections.values():
        assert all(setting["description"] for setting in section["properties"].values())


def test_a_setting_has_its_default_and_one_that_is_required_has_none(schema):
    places = schema["properties"]["knowledge"]["anyOf"][0]["properties"]["vector_dbs"]["items"]
    assert places["required"] == ["id", "provider", "dimension"]
    assert [name for name, setting in places["properties"].items() if "default" in setting] == []
    worker = schema["properties"]["worker"]["anyOf"][0]["properties"]
    assert worker["max_concurrent_workflows"]["default"] == 10


def test_a_secret_is_only_written(schema):
    settings = schema["properties"]["database"]["anyOf"][0]["properties"]
    secret = {name for name, setting in settings.items() if setting.get("writeOnly")}
    assert secret == {"conn_string", "password"}


def test_a_driver_that_cannot_be_loaded_or_does_not_say_may_have_every_setting(
    distributions, driver_module
):
    points = "[engine_store.drivers]\nbroken = x_broken:DRIVER\nquiet = x_quiet:DRIVER"
    modules = {"x_broken": "import x_none", "x_quiet": driver_module}
    distributions("x-others", points, modules)
    made = Draft202012Validator(json_schema())
    assert made.is_valid({"database": {"driver": "broken", "anything": 3}})
    assert made.is_valid({"database": {"driver": "quiet", "anything": 3}})
    assert not made.is_valid({"database": {"driver": "broken", "auto_migrate": 3}})


def test_settings_of_two_drivers_with_one_name_are_told_apart(distributions, driver_module):
    def module(kind: str, text: str) -> str:
        return (
            driver_module
            + f"""
from attrs import frozen
from engine_store.config import setting

@frozen
class Options:
    size: {kind} = setting(help="{text}")
    same: int = setting(default=1, help="Same.")

DRIVER.settings = Options
"""
        )

    points = "[engine_store.drivers]\none = x_one:DRIVER\nsix = x_six:DRIVER\ntwo = x_two:DRIVER"
    modules = {
        "x_one": module("int", "Bytes."),
        "x_six": module("bool", "Fits."),
        "x_two": module("str", "In words."),
    }
    distributions("x-two", points, modules)
    schema = json_schema()
    database = schema["properties"]["database"]["anyOf"][0]
    assert database["properties"]["size"]["description"] == "Bytes. / Fits. / In words."
    validator = Draft202012Validator(schema)
    for driver, size in (("one", 3), ("six", True), ("two", "3 pages")):
        assert validator.is_valid({"database": {"driver": driver, "size": size}})
    assert not validator.is_valid({"database": {"driver": "one", "size": "3 pages"}})
    assert not validator.is_valid({"database": {"size": []}})
