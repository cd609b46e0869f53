"""The whole configuration of an engine's storage, as one frozen model."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from engine_store.config.database import DatabaseConfig
from engine_store.config.structure import setting
from engine_store.errors import ConfigurationError
from engine_store.urls import mask_url


class VectorProvider(StrEnum):
    """What keeps vectors."""

    PGVECTOR = "pgvector"
    QDRANT = "qdrant"
    REDIS = "redis"
    FILESYSTEM = "filesystem"


@frozen
class VectorDatabase:
    """A place for vectors: the database itself with `pgvector`, or another one beside it."""

    id: str = setting(help="What the engine calls it.")
    provider: VectorProvider = setting(help="What keeps the vectors.")
    dimension: int = setting(help="Numbers in a vector.")
    url: str | None = setting(
        default=None,
        help="Where it is, for qdrant and redis.",
        repr=lambda url: repr(url and mask_url(url)),
    )
    path: str | None = setting(default=None, help="The folder, for filesystem.")

    def __attrs_post_init__(self) -> None:
        if self.dimension < 1:
            raise ConfigurationError("dimension", f"expected 1 or more, found {self.dimension}")
        needed = {"qdrant": "url", "redis": "url", "filesystem": "path"}.get(self.provider)
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

    max_concurrent_workflows: int = setting(default=10, help="Workflows that run side by side.")

    def __attrs_post_init__(self) -> None:
        if self.max_concurrent_workflows < 1:
            raise ConfigurationError(
                "max_concurrent_workflows",
                f"expected 1 or more, found {self.max_concurrent_workflows}",
            )


@frozen
class Config:
    """The whole. `knowledge` is None where the engine keeps none."""

    database: DatabaseConfig = field(factory=DatabaseConfig)
    knowledge: Knowledge | None = None
    worker: Worker = field(factory=Worker)

    @property
    def needs_vectors(self) -> bool:
        """Whether the database itself is to keep vectors."""
        dbs = () if self.knowledge is None else self.knowledge.vector_dbs
        return any(db.provider is VectorProvider.PGVECTOR for db in dbs)


class Severity(StrEnum):
    """What a finding means for a start."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Finding:
    """Something that a rule of start-up found. `field` is its path in the configuration."""

    severity: Severity
    field: str
    message: str
