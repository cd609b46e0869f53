"""What the contract classes share: the fixtures, the marker `clause`, and small helpers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, closing, contextmanager
from threading import Barrier
from typing import Any, ClassVar, TypeVar

import pytest

from engine_store.errors import EngineStoreError, InvalidValueError
from engine_store.protocols import Store
from engine_store_contracts import recording
from engine_store_contracts.clock import ManualClock
from engine_store_contracts.exact import exact
from engine_store_contracts.faces import Face
from engine_store_contracts.hanging import Threads
from engine_store_contracts.harness import Database, Harness
from engine_store_contracts.patience import PATIENCE
from engine_store_contracts.profiles import PROFILES, Profile
from engine_store_contracts.reuse import Reuse, Reused
from engine_store_contracts.suite.samples import Kind

T = TypeVar("T")


def clause(*numbers: str) -> pytest.MarkDecorator:
    """Mark a case, or a class of cases, with the clauses of the contract it proves."""
    return pytest.mark.clause(*numbers)


class ContractCase:
    """The base of every section of the contract. Whoever inherits provides the fixture `harness`.

    A section says which faces its cases are for, and which capabilities they need: where a driver
    declares one as unsupported, and why, they are left out. There is no other way to leave one out.
    With `fresh` each case needs a database that no other one has used or will use.
    """

    faces: ClassVar[Sequence[Face]]
    needs: ClassVar[Sequence[str]]
    fresh: ClassVar[bool]

    def __init_subclass__(
        cls,
        *,
        faces: Sequence[Face] = tuple(Face),
        needs: Sequence[str] = (),
        fresh: bool = False,
    ) -> None:
        """Refuse a class that would lose a case because another of its bases has the name."""
        cls.faces, cls.needs, cls.fresh = faces, needs, fresh
        owners: dict[str, type] = {}
        for base in reversed(cls.__mro__):
            for name in vars(base):
                known = owners.setdefault(name, base)
                if name.startswith("test_") and not issubclass(base, known):
                    raise TypeError(f"{base.__name__} and {known.__name__} both have {name}")

    @classmethod
    def section_of(cls, case: str) -> type[ContractCase]:
        """The section that has the case."""
        return next(base for base in cls.__mro__ if case in vars(base))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each case for each face of its section, and for each seed where there are several."""
        section = self.section_of(metafunc.function.__name__)
        metafunc.parametrize("face", section.faces, ids=str)
        seeds = metafunc.config.option.contract_seeds
        if "seed" in metafunc.fixturenames and len(seeds) > 1:
            metafunc.parametrize("seed", seeds)

    @pytest.fixture(autouse=True)
    def _supported(self, request: pytest.FixtureRequest, harness: Harness, face: Face) -> None:
        """Leave the case out where the driver declares that it cannot do what is needed."""
        declared = harness.capabilities()
        recording.note_capabilities(request.node, declared)
        for name in self.section_of(request.function.__name__).needs:
            if name in declared and not declared[name].supported:
                recording.leave_out(request.node, declared[name])

    @pytest.fixture
    def reused(self, request: pytest.FixtureRequest, engine_store_reuse: Reuse) -> Iterator[Reused]:
        """Give the fixture `harness` a database that passed cases have left, if there is one."""
        fresh, lend = self.section_of(request.function.__name__).fresh, engine_store_reuse.harness
        with ExitStack() as stack:
            yield lambda make: stack.enter_context(lend(make, request.node, fresh=fresh))

    @pytest.fixture
    def seed(self, request: pytest.FixtureRequest) -> int:
        """What the random choices of a case begin with."""
        seed: int = request.config.option.contract_seeds[0]
        return seed

    @pytest.fixture
    def profile(self, request: pytest.FixtureRequest) -> Profile:
        """How long to look."""
        return PROFILES[request.config.option.contract_profile]

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of `store`. It stands still until it is moved."""
        return ManualClock()

    @pytest.fixture
    def database(self, harness: Harness, face: Face) -> Iterator[Database]:
        """The database of the harness, opened with the face of the case."""
        with closing(Database(harness, face)) as database:
            yield database

    @pytest.fixture
    def store(
        self, request: pytest.FixtureRequest, database: Database, clock: ManualClock
    ) -> Iterator[Store]:
        """A fresh, empty store on `clock`."""
        store = database.open(clock=clock)
        recording.note_server(request.node, store)
        yield store
        store.close()

    @pytest.fixture
    def repository(self, store: Store, kind: Kind) -> Any:
        """The repository of the case's kind of row, with what its rows refer to."""
        return kind.repository(store)


@contextmanager
def raises(expected: EngineStoreError) -> Iterator[None]:
    """Check that the block raises an error of exactly the type and the fields of `expected`."""
    with pytest.raises(type(expected)) as caught:
        yield
    assert exact(caught.value) == exact(expected)


@contextmanager
def refuses(path: str) -> Iterator[None]:
    """Check that the block raises `InvalidValueError` for the value at `path`."""
    with pytest.raises(InvalidValueError) as caught:
        yield
    assert caught.value.path == path


def assert_same(found: object, expected: object) -> None:
    """Check that both are equal to the type (see `exact`)."""
    assert exact(found) == exact(expected)


def outcome(call: Callable[[], T]) -> T | EngineStoreError:
    """Return what the call returns, or the error of the store that it raises."""
    try:
        return call()
    except EngineStoreError as error:
        return error


def all_at_once(calls: Sequence[Callable[[], T]]) -> list[T | EngineStoreError]:
    """Return the outcomes of calls that begin at once, each in its own thread."""
    start = Barrier(len(calls))

    def wait_and(call: Callable[[], T]) -> T | EngineStoreError:
        start.wait(PATIENCE.seconds)
        return outcome(call)

    with Threads() as threads:
        begun = [threads.submit(wait_and, call) for call in calls]
        wait(begun, timeout=PATIENCE.seconds)
    return [each.result() for each in begun]


def successes(outcomes: Sequence[T | EngineStoreError]) -> list[T]:
    """What was returned."""
    return [outcome for outcome in outcomes if not isinstance(outcome, EngineStoreError)]


def failures(outcomes: Sequence[T | EngineStoreError]) -> list[EngineStoreError]:
    """What was raised."""
    return [outcome for outcome in outcomes if isinstance(outcome, EngineStoreError)]
