"""Which database, and how to open it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import evolve, field, frozen

from engine_store.config.structure import Seconds, duration, names_of, setting, structure
from engine_store.secrecy import HiddenDict, secret_text
from engine_store.urls import mask_url, parse_url
from engine_store.values import LARGEST_DOCUMENT_BYTES, MAX_DOCUMENT_BYTES

DEFAULT_DRIVER = "postgres"
"""What a configuration that names no driver means."""

_C = TypeVar("_C")


@frozen
class DatabaseConfig:
    """Which database, and how to open it.

    `url` names the driver by its scheme, else `driver` does. `options` are the driver's own
    settings by name; they win over those in the URL. With `auto_migrate` missing schema steps
    are applied at opening, waiting at most `migration_timeout` seconds for another process that
    is at it; without, a schema that is behind is an error. `max_document_bytes` limits what is
    written; what is there already is read, whatever its size. `poll_interval` bounds how
    late a waiter sees a change of which no notification reached it (contract 12.5). With
    `history` the store appends an event for each change of a status that it makes (contract 11.5).
    """

    url: str | None = setting(
        default=None,
        converter=secret_text,
        help="Where it is, such as sqlite:///engine.db or postgresql://user@host/database.",
        repr=lambda url: repr(url and mask_url(url)),
    )
    driver: str = setting(
        default=DEFAULT_DRIVER, help="The driver, where no URL names it by its scheme."
    )
    options: Mapping[str, Any] = setting(
        factory=dict, help="The driver's own settings.", repr=lambda options: f"<{len(options)}>"
    )
    auto_migrate: bool = setting(
        default=True, help="Apply missing schema steps at opening; else they are an error."
    )
    migration_timeout: Seconds = duration(
        60.0, "How long to wait for another process that is migrating."
    )
    max_document_bytes: int = setting(
        default=MAX_DOCUMENT_BYTES,
        minimum=2**16,
        maximum=LARGEST_DOCUMENT_BYTES,
        unit="bytes",
        help="How large a document may be, as JSON; a larger one is refused.",
    )
    history: bool = setting(
        default=False, help="Append an event for each change of a status, by this process."
    )
    vectors: bool = setting(
        default=False, help="Refuse a database that cannot hold vectors by itself."
    )
    poll_interval: Seconds = duration(
        1.0, "How often a waiter looks that no notification reaches, at least.", minimum=0.001
    )
    check_schema: bool = setting(
        default=True, help="Without, the database is opened as it is, behind or not: for migrating."
    )

    # Settings by their class, each with the options that it was made of.
    _parsed: dict[type[Any], tuple[dict[str, Any], Any]] = field(
        factory=dict, init=False, repr=False, eq=False
    )

    @property
    def driver_name(self) -> str:
        """The driver to load: the URL's scheme, or `driver` where there is no URL."""
        return self.driver if self.url is None else parse_url(self.url).scheme

    @property
    def may_be_behind(self) -> bool:
        """Whether a schema that lacks steps is no error at opening."""
        return self.auto_migrate or not self.check_schema

    def driver_options(self) -> dict[str, Any]:
        """The options of the URL, and over them `options`."""
        from_url = {} if self.url is None else parse_url(self.url).options
        return HiddenDict({**from_url, **self.options})

    def settings(self, cls: type[_C], *, more_in_url: bool = False) -> _C:
        """Return the driver's own settings as its attrs class, parsed once for a configuration.

        With `more_in_url`, the driver makes out itself what else the URL states. Raises
        `ConfigurationError` naming every unknown key, wrong type and missing field.
        """
        options = self.driver_options()
        if more_in_url:
            known = {*names_of(cls), *self.options}
            options = HiddenDict({name: options[name] for name in options if name in known})
        if cls not in self._parsed or self._parsed[cls][0] != options:
            self._parsed[cls] = options, structure(options, cls)
        settings: _C = self._parsed[cls][1]
        return settings

    def with_vectors(self) -> DatabaseConfig:
        """Return the same configuration, for a database that has to hold vectors."""
        made = evolve(self, vectors=True)
        object.__setattr__(made, "_parsed", self._parsed)
        return made
