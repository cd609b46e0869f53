"""API keys (contract 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine_store.checks import (
    FINGERPRINT_BYTES,
    check_api_key,
    check_api_key_filter,
    check_restored,
    decode_cursor,
)
from engine_store.errors import (
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EngineStoreError,
    InvalidReferenceError,
)
from engine_store.models import ApiKey, ApiKeyFilter, Page
from engine_store.sql.operation import Contended, Op, read, write
from engine_store.sql.operations.base import Operations, page
from engine_store.urls import MASK
from engine_store.values import check_bytes, check_id, check_limit, check_time

_ENTITY = ApiKeyNotFoundError.entity
_ALL = ApiKeyFilter()


class ApiKeyOperations(Operations):
    """`engine_store.protocols.ApiKeyRepository`, as operations."""

    @read
    def get(self, key_id: str) -> Op[ApiKey]:
        check_id(key_id, "key_id")
        row = yield self._q.get_api_key(key_id=key_id)
        if row is None:
            raise ApiKeyNotFoundError(key_id)
        return self._rows.api_key(row)

    @read
    def get_by_fingerprint(self, fingerprint: bytes) -> Op[ApiKey]:
        check_bytes(fingerprint, "fingerprint", length=FINGERPRINT_BYTES)
        row = yield self._q.get_api_key_by_fingerprint(fingerprint=fingerprint)
        if row is None:
            raise ApiKeyNotFoundError(MASK, "fingerprint")
        return self._rows.api_key(row)

    @read
    def get_by_prefix(self, prefix: str) -> Op[ApiKey]:
        check_id(prefix, "prefix")
        row = yield self._q.get_api_key_by_prefix(prefix=prefix)
        if row is None:
            raise ApiKeyNotFoundError(prefix, "prefix")
        return self._rows.api_key(row)

    @read
    def list(
        self, filter: ApiKeyFilter = _ALL, *, limit: int = 100, cursor: str | None = None
    ) -> Op[Page[ApiKey]]:
        check_api_key_filter(filter)
        check_limit(limit)
        after, after_id = decode_cursor("api_keys", cursor) or (None, None)
        rows = yield self._q.list_api_keys(
            user_id=filter.user_id,
            after_created_at=self._rows.time(after),
            after_id=after_id,
            limit=limit + 1,
        )
        return page(rows, limit, self._rows.api_key, _position)

    @write
    def create(self, key: ApiKey) -> Op[ApiKey]:
        check_api_key(key)
        return (yield from self._insert(key, self._now()))

    @write
    def restore(self, key: ApiKey) -> Op[ApiKey]:
        check_api_key(key)
        check_restored(key, "key")
        return (yield from self._insert(key, self._rows.time(key.created_at)))

    @write
    def touch(self, key_id: str, at: datetime | None = None) -> Op[ApiKey]:
        check_id(key_id, "key_id")
        if at is not None:
            check_time(at, "at")
        used = self._now() if at is None else self._rows.codec.write_time(at)
        row = yield self._q.touch_api_key(key_id=key_id, used=used)
        if row is None:
            raise ApiKeyNotFoundError(key_id)
        return self._rows.api_key(row)

    @write
    def delete(self, key_id: str) -> Op[None]:
        check_id(key_id, "key_id")
        if (yield self._q.delete_api_key(key_id=key_id)) is None:
            raise ApiKeyNotFoundError(key_id)

    def _insert(self, key: ApiKey, created_at: Any) -> Op[ApiKey]:
        parameters = self._rows.api_key_parameters(key)
        row = yield self._q.create_api_key(**parameters, created_at=created_at)
        if row is None:
            raise (yield from self._why_not_created(key))
        return self._rows.api_key(row)

    def _why_not_created(self, key: ApiKey) -> Op[EngineStoreError]:
        by_id, by_fingerprint, by_prefix, user = yield (
            self._q.get_api_key(key_id=key.key_id),
            self._q.get_api_key_by_fingerprint(fingerprint=key.fingerprint),
            self._q.get_api_key_by_prefix(prefix=key.prefix),
            self._q.get_user(user_id=key.user_id),
        )
        if by_id is not None:
            return AlreadyExistsError(_ENTITY, "key_id", key.key_id)
        if by_fingerprint is not None:
            return AlreadyExistsError(_ENTITY, "fingerprint", MASK)
        if by_prefix is not None:
            return AlreadyExistsError(_ENTITY, "prefix", key.prefix)
        if user is None:
            return InvalidReferenceError(_ENTITY, "user_id", key.user_id)
        raise Contended


def _position(key: ApiKey) -> tuple[str, datetime, str]:
    return "api_keys", key.created_at, key.key_id
