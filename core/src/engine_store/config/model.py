"""The whole configuration of an engine's storage, as one frozen model."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from engine_store.config.database import DatabaseConfig
from engine_store.config.structure import setting
from engine_store.errors import ConfigurationError, Problem
from engine_store.urls import mask_url


class VectorProvider(StrEnum):
    """What keeps vectors."""

    PGVECTOR = "pgvector"
    QDRANT = "qdrant"
    REDIS = "redis"
    FILESYSTEM = "filesystem"


PLACES = {
    VectorProvider.PGVECTOR: None,
    VectorProvider.QDRANT: "url",
    VectorProvider.REDIS: "url",
    VectorProvider.FILESYSTEM: "path",
}
"""The setting that says where a provider's vectors are; none for the database itself."""


def _masked(text: str | None) -> str:
    return repr(text and mask_url(text))


@frozen
class VectorDatabase:
    """A place for vectors: the database itself with `pgvector`, or another one beside it."""

    id: str = setting(repr=_masked, help="What the engine calls it.")
    provider: VectorProvider = setting(help="What keeps the vectors.")
    dimension: int = setting(minimum=1, help="Numbers in a vector.")
    url: str | None = setting(
        default=None,
        help="Where it is, for qdrant and redis.",
        repr=_masked,
    )
    path: str | None = setting(default=None, repr=_masked, help="The folder, for filesystem.")

    def __attrs_post_init__(self) -> None:
        needed = PLACES[self.provider]
        for name in ("url", "path"):
            given = getattr(self, name) is not None
            if name == needed and not given:
                raise ConfigurationError(name, f"{self.provider.value} needs it")
            if name != needed and given:
                raise ConfigurationError(name, f"{self.provider.value} has none")


@frozen
class Knowledge:
    """What the engine knows beside its states."""

    vector_dbs: tuple[VectorDatabase, ...] = setting(
        default=(), help="Where vectors are kept; the first one is the default."
    )


@frozen
class Worker:
    """What one engine process does at a time."""

    max_concurrent_workflows: int = setting(
        default=10, minimum=1, help="Workflows that run side by side."
    )


@frozen
class Config:
    """The whole. `knowledge` is None where the engine keeps none.

    Where it asks the database itself for vectors, the database is opened with that in mind.
    """

    database: DatabaseConfig = field(factory=DatabaseConfig)
    knowledge: Knowledge | None = None
    worker: Worker = field(factory=Worker)

    def __attrs_post_init__(self) -> None:
        if self.needs_vectors:
            object.__setattr__(self, "database", self.database.with_vectors())

    @property
    def needs_vectors(self) -> bool:
        """Whether the database itself is to keep vectors."""
        dbs = () if self.knowledge is None else self.knowledge.vector_dbs
        return any(db.provider is VectorProvider.PGVECTOR for db in dbs)


class Severity(StrEnum):
    """What a finding means for a start."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    """No setting is wrong; who runs the store should know it."""


@frozen
class Finding:
    """Something that a rule of start-up found. `field` is its path in the configuration."""

    severity: Severity
    field: str
    message: str

    @classmethod
    def of(cls, error: ConfigurationError) -> tuple[Finding, ...]:
        """What a driver thinks wrong with its settings, at their places in the configuration."""
        problems = error.problems or (Problem(error.field, error.reason),)
        return tuple(
            cls(Severity.ERROR, f"database.{one.path.removeprefix('options.')}", one.message)
            for one in problems
        )
