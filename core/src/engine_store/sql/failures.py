"""The meaning of a database's errors to a caller, by their codes, never by their texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from attrs import frozen

from engine_store.errors import DatabaseError, InvalidValueError, StoreClosedError, UnavailableError
from engine_store.urls import mask_secrets


@frozen
class Failures:
    """The errors of one database.

    `code` returns the code of an error, or None. `retriable` has a sentence for each code of what
    passes by itself, `lasting` for each of what does not; `too_large` are the codes of values that
    do not fit. An error of another code can only come from a bug or a changed schema.
    `closed` is the class of those that mean that the store is closed, `connecting` that of what
    connecting raises, if not all of `errors` are; `refused` tells of one of these whether it does
    not pass by itself.
    """

    product: str
    errors: type[Exception] | tuple[type[Exception], ...]
    code: Callable[[Exception], Any]
    retriable: Mapping[Any, str]
    lasting: Mapping[Any, str]
    too_large: Collection[Any] = ()
    closed: type[Exception] | tuple[()] = ()
    connecting: type[Exception] | None = None
    refused: Callable[[Exception], bool] = lambda error: False

    def translate(self, error: Exception) -> Exception:
        """Return the store's error for one of the database's; other errors stay as they are."""
        if isinstance(error, self.closed):
            return StoreClosedError()
        code = self.code(error)
        if code in self.retriable:
            return UnavailableError(f"{self.product}: {self.retriable[code]}", retriable=True)
        if code in self.lasting:
            return UnavailableError(f"{self.product}: {self.lasting[code]}", retriable=False)
        if code in self.too_large:
            return InvalidValueError("value", f"larger than {self.product} can hold in one row")
        if isinstance(error, self.errors):
            words = str(error).partition("\n")[0]
            kind = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
            return DatabaseError(self.product, f"{words} ({kind})")
        return error

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the store's errors for the database's."""
        try:
            yield
        except self.errors as error:
            self.reraise(error)

    def reraise(self, error: Exception) -> NoReturn:
        """Raise the store's error for one of the database's."""
        raise self.translate(error) from error

    @contextmanager
    def reaching(self, server: str, password: str | None) -> Iterator[None]:
        """Raise `UnavailableError` with the reason if a connection to `server` cannot be made."""
        errors = self.connecting or self.errors
        try:
            yield
        except errors as error:
            reason = " ".join(mask_secrets(str(error), [password or ""]).split())
            retriable = not self.refused(error)
            error.args = (reason,)  # it stays the `__context__`, and its text may have the password
            raise UnavailableError(
                f"{self.product} at {server}: {reason}", retriable=retriable
            ) from None
