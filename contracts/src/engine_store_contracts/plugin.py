"""The pytest plugin of the suite: its options and its marker, and what keeps a run honest.

Here nothing of `engine_store` is imported, so that coverage may start before that is.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

from engine_store_contracts import recording
from engine_store_contracts.clauses import clauses_of
from engine_store_contracts.profiles import ProfileName
from engine_store_contracts.recorder import Recorder, make_printable, printable, why_unwritable

if TYPE_CHECKING:
    from engine_store_contracts.reuse import Reuse

# Before anything imports them: pytest warns of what it can rewrite no more.
pytest.register_assert_rewrite("engine_store_contracts.machine", "engine_store_contracts.suite")


_WANTED = pytest.StashKey[set[str]]()
"""The clauses and sections asked for; none where all are."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("engine-store-contracts", "the contract of engine-store drivers")
    group.addoption(
        "--store-url",
        metavar="URL",
        help="the driver that engine_store_contracts "
        "itself proves: pytest --pyargs engine_store_contracts --store-url URL",
    )
    group.addoption(
        "--contract-profile",
        choices=[name.value for name in ProfileName],
        default=ProfileName.QUICK.value,
        help="how long to look (default: quick)",
    )
    group.addoption(
        "--contract-minutes",
        type=float,
        default=10,
        metavar="N",
        help="how long the profile soak makes random calls (default: 10)",
    )
    group.addoption(
        "--contract-seed",
        type=int,
        action="append",
        default=[],
        metavar="N",
        dest="contract_seeds",
        help="what random choices begin with (default: another "
        "one each time, which is printed); given again, each random case runs again",
    )
    group.addoption(
        "--contract-clause",
        action="append",
        default=[],
        metavar="N",
        dest="contract_clauses",
        help="only cases of this clause, such as 2.5, or of this section, such as 2",
    )
    group.addoption("--contract-json", metavar="FILE", help="write the report there, as JSON")
    group.addoption("--contract-html", metavar="FILE", help="write the report there, as a page")


def pytest_configure(config: pytest.Config) -> None:
    """Make `clause` known, also under `--strict-markers`; choose a seed; record the outcomes."""
    if reason := why_unwritable(config.option.contract_json, config.option.contract_html):
        raise pytest.UsageError(reason)
    try:
        config.stash[_WANTED] = {
            known for number in config.option.contract_clauses for known in clauses_of(number)
        }
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.addinivalue_line("markers", "clause(*numbers): the clauses of the contract it proves")
    if not config.option.contract_seeds:  # xdist gives its workers this very list
        config.option.contract_seeds = [random.randrange(2**32)]  # noqa: S311 - no secret
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config), "engine_store_recorder")


@pytest.fixture(scope="class")
def engine_store_reuse() -> Iterator[Reuse]:
    """Keep the database that the cases of a class share."""
    from engine_store_contracts.reuse import Reuse

    with closing(Reuse()) as reuse:
        yield reuse


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to begin where no case could open its database: once, and not for each case."""
    option = session.config.option
    url: str | None = option.store_url
    if url is None or option.collectonly or hasattr(session.config, "workerinput"):
        return
    from engine_store_contracts.harness import why_unreachable

    if (reason := why_unreachable(url)) is not None:
        raise pytest.UsageError(printable(reason, url))


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> Generator[None, Any, Any]:
    """Note each case there is, whether it will be run or not; refuse a class that changes one."""
    if not _is_contract(collector) or not _is_kept(collector, name):
        return (yield)
    made = yield
    if name.startswith("test_"):
        if not made:  # by a setting such as `python_functions`
            raise collector.CollectError(f"{name} of the contract is not collected (9.5)")
        for item in made:
            recording.note_case(item)
    return made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cases of the clauses asked for."""
    wanted = config.stash[_WANTED]
    if not wanted:
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (kept if wanted & _clauses_of(item) else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """Fail what was skipped, or expected to fail, other than by a capability (contract 9.5).

    No report of a failure has the password of the URL.
    """
    report: pytest.TestReport = yield
    excused = report.skipped or hasattr(report, "wasxfail")
    properties = dict(report.user_properties)
    if excused and recording.CASE in properties and recording.UNSUPPORTED not in properties:
        report.outcome = "failed"
        report.longrepr = "a case of the contract is left out by a capability only (9.5)"
        report.__dict__.pop("wasxfail", None)
    if report.failed:
        recording.note_failure(item)
        if recording.CASE in properties and call.when == "call":
            _add_hanging(report, call)
        make_printable(report, item.config.option.store_url)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one, if any, which cases there are."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[recording.CASE] = session.config.stash.get(recording.COLLECTED, [])


def _add_hanging(report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Say which calls of a failed case are still running, if its failure does not say so."""
    from engine_store_contracts.hanging import Hang, describe, running_calls

    is_explained = call.excinfo is not None and call.excinfo.errisinstance(Hang)
    if not is_explained and (running := running_calls()):
        report.longrepr = f"{report.longreprtext}\n\n{describe(running)}"


def _is_contract(collector: pytest.Collector) -> TypeGuard[pytest.Class]:
    """Whether it is a class with cases of the contract."""
    contract = sys.modules.get("engine_store_contracts.contract")
    return (
        contract is not None
        and isinstance(collector, pytest.Class)
        and issubclass(collector.obj, contract.DriverContract)
    )


def _is_kept(collector: pytest.Class, name: str) -> bool:
    """Whether the contract has the name. Refuses what a subclass puts in its place."""
    from engine_store_contracts.contract import DriverContract
    from engine_store_contracts.suite.case import ContractCase

    original = getattr_static(DriverContract, name, None)
    own = name.startswith("__") or name in ContractCase.__annotations__  # of every class
    if original is None or own:
        return False
    if getattr_static(collector.obj, name) is not original:
        raise collector.CollectError(
            f"{collector.obj.__name__} replaces {name} of the contract; what a driver cannot do it "
            "declares as a capability (9.5)"
        )
    return True


def _clauses_of(item: pytest.Item) -> set[str]:
    return {number for mark in item.iter_markers("clause") for number in mark.args}
