"""Rules that claim tasks, and use the claims (contract 10).

Tokens differ from store to store: each gets its own claims back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import frozen
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, multiple, rule

from engine_store.models import Claim, Status, TaskFilter
from engine_store.protocols import Repositories
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.suite.case import outcome

METHODS = ("claim", "renew", "finish", "release", "expired")
"""The methods that are called here."""


@frozen
class Claimed:
    """A claim that both stores have made."""

    tested: Claim
    reference: Claim


class ClaimRules(SideBySide):
    """Claims of any task, used at any time later: some are lost by then."""

    claims = Bundle("claims")

    @rule(
        target=claims,
        worker=some.workers,
        how=st.fixed_dictionaries(
            {"lease": some.seconds},
            optional={
                "queues": st.lists(some.queues, max_size=3),
                "filter": st.builds(
                    TaskFilter,
                    task_id=st.none() | some.task_ids,
                    statuses=st.none() | st.just([Status.PENDING]),
                ),
                "limit": limits,
            },
        ),
    )
    def claim(self, worker: str, how: Mapping[str, Any]) -> MultipleResults[Claimed]:
        return self._claims(lambda s: s.tasks.claim(worker, **how))

    @rule(
        target=claims,
        how=st.fixed_dictionaries(
            {}, optional={"queues": st.lists(some.queues, max_size=3), "limit": limits}
        ),
    )
    def expired(self, how: Mapping[str, Any]) -> MultipleResults[Claimed]:
        return self._claims(lambda s: s.tasks.expired(**how))

    @rule(claim=claims, lease=some.seconds)
    def renew(self, claim: Claimed, lease: float) -> None:
        self._use(claim, lambda s, own: s.tasks.renew(own, lease=lease))

    @rule(
        claim=claims,
        how=st.fixed_dictionaries(
            {},
            optional={
                "status": some.statuses,
                "output": some.optional_documents,
                "error": some.error_infos,
                "usage": some.usages,
            },
        ),
    )
    def finish(self, claim: Claimed, how: Mapping[str, Any]) -> None:
        self._use(claim, lambda s, own: s.tasks.finish(own, **how))

    @rule(
        claim=claims,
        how=st.fixed_dictionaries({}, optional={"due_in": some.seconds, "error": some.error_infos}),
    )
    def release(self, claim: Claimed, how: Mapping[str, Any]) -> None:
        self._use(claim, lambda s, own: s.tasks.release(own, **how))

    def _claims(
        self, call: Callable[[Repositories], tuple[Claim, ...]]
    ) -> MultipleResults[Claimed]:
        found = outcome(lambda: call(self._recorded))
        expected = outcome(lambda: call(self._scope.reference))
        self._check_same(_without_token(found), _without_token(expected))
        if not (isinstance(found, tuple) and isinstance(expected, tuple)):
            return multiple()
        return multiple(*map(Claimed, found, expected))

    def _use(self, claim: Claimed, call: Callable[[Repositories, Claim], object]) -> None:
        found = outcome(lambda: call(self._recorded, claim.tested))
        expected = outcome(lambda: call(self._scope.reference, claim.reference))
        self._check_same(_without_token(found), _without_token(expected))


def _without_token(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_without_token, value))
    return attrs.evolve(value, token="") if isinstance(value, Claim) else value
