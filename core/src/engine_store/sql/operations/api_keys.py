"""API keys (contract 4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine_store.errors import (
    AlreadyExistsError,
    ApiKeyNotFoundError,
    EngineStoreError,
    InvalidReferenceError,
)
from engine_store.models import ApiKey, ApiKeyFilter, Page
from engine_store.rules.checks import FINGERPRINT_BYTES
from engine_store.rules.entities import API_KEY
from engine_store.secrecy import MASK
from engine_store.sql.operation import LostRace, Op, read, write
from engine_store.sql.operations.base import Operations
from engine_store.values import check_bytes, check_id, check_time


class ApiKeyOperations(Operations[ApiKey]):
    """`engine_store.protocols.ApiKeyRepository`, as operations."""

    entity = API_KEY

    @read
    def get(self, key_id: str) -> Op[ApiKey]:
        check_id(key_id, "key_id")
        return self._one(self._q.get_api_key(key_id=key_id), key_id)

    @read
    def get_by_fingerprint(self, fingerprint: bytes) -> Op[ApiKey]:
        check_bytes(fingerprint, "fingerprint", length=FINGERPRINT_BYTES)
        call = self._q.get_api_key_by_fingerprint(fingerprint=fingerprint)
        return self._one(call, MASK, "fingerprint")

    @read
    def get_by_prefix(self, prefix: str) -> Op[ApiKey]:
        check_id(prefix, "prefix")
        return self._one(self._q.get_api_key_by_prefix(prefix=prefix), prefix, "prefix")

    @read
    def list(
        self,
        filter: ApiKeyFilter = API_KEY.everything,
        *,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Op[Page[ApiKey]]:
        return self._page(self._q.list_api_keys, filter, limit, cursor)

    @write
    def create(self, key: ApiKey) -> Op[ApiKey]:
        key = self.entity.check(key)
        return self._insert(key, created_at=self._now())

    @write
    def restore(self, key: ApiKey) -> Op[ApiKey]:
        key = self.entity.check_restored(key)
        return self._insert(key)

    @write
    def touch(self, key_id: str, at: datetime | None = None) -> Op[ApiKey]:
        check_id(key_id, "key_id")
        used = self._now() if at is None else self._rows.time(check_time(at, "at"))
        return self._one(self._q.touch_api_key(key_id=key_id, used=used), key_id)

    @write
    def delete(self, key_id: str) -> Op[None]:
        check_id(key_id, "key_id")
        if (yield self._q.delete_api_key(key_id=key_id)) is None:
            raise ApiKeyNotFoundError(key_id)

    def _insert(self, key: ApiKey, **parameters: Any) -> Op[ApiKey]:
        row = yield self._q.create_api_key(**self._parameters(key) | parameters)
        if row is None:
            raise (yield from self._why_not_created(key))
        return self._decode(row)

    def _why_not_created(self, key: ApiKey) -> Op[EngineStoreError]:
        by_id, by_fingerprint, by_prefix, user = yield (
            self._q.get_api_key(key_id=key.key_id),
            self._q.get_api_key_by_fingerprint(fingerprint=key.fingerprint),
            self._q.get_api_key_by_prefix(prefix=key.prefix),
            self._q.get_user(user_id=key.user_id),
        )
        if by_id is not None:
            return AlreadyExistsError(API_KEY.label, "key_id", key.key_id)
        if by_fingerprint is not None:
            return AlreadyExistsError(API_KEY.label, "fingerprint", MASK)
        if by_prefix is not None:
            return AlreadyExistsError(API_KEY.label, "prefix", key.prefix)
        if user is None:
            return InvalidReferenceError(API_KEY.label, "user_id", key.user_id)
        raise LostRace
