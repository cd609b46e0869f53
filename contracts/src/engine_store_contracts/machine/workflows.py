"""Rules for workflow executions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.clock import UNSAVED
from engine_store.errors import EngineStoreError
from engine_store.models import Status, UsageSummary, WorkflowFilter, WorkflowState
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide, limits
from engine_store_contracts.machine.script import Written, change

changes = st.fixed_dictionaries(
    {},
    optional={
        "workflow_id": some.workflow_ids,
        "status": some.statuses,
        "output": some.optional_documents,
        "usage": some.usages,
        "version": st.integers(0, 4),
        "created_at": st.just(UNSAVED) | some.times,
    },
)

statuses = st.none() | st.lists(some.statuses, max_size=3)

filters = st.builds(
    WorkflowFilter,
    workflow_id=st.none() | some.workflow_ids,
    statuses=statuses,
    workflow_exec_ids=st.none() | st.lists(some.workflow_exec_ids, max_size=3),
    created_from=st.none() | some.times,
    created_before=st.none() | some.times,
)


TRANSFORMS = [
    None,
    Written(
        'lambda state: {"tasks": sorted(state.tasks)}',
        lambda state: {"tasks": sorted(state.tasks)},
    ),
    Written("lambda state: state.input", lambda state: state.input),
    Written('lambda state: {"bad": {1}}', lambda state: {"bad": {1}}),
    Written("lambda state: state.tasks['\\0']", lambda state: state.tasks["\0"]),
]


class WorkflowRules(SideBySide):
    """Workflow executions."""

    seen_workflows = Bundle("seen_workflows")
    """States as they once were: live ones, stale ones, deleted ones."""

    @rule(
        target=seen_workflows,
        state=some.workflows,
        write=st.sampled_from(["create", "create", "update", "upsert"]),
    )
    def write_workflow(self, state: WorkflowState, write: str) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.workflows, write)(state))

    @rule(
        target=seen_workflows,
        state=seen_workflows,
        changes=changes,
        write=st.sampled_from(["create", "update", "update", "upsert"]),
    )
    def rewrite_workflow(
        self, state: WorkflowState, changes: dict[str, Any], write: str
    ) -> MultipleResults[Any]:
        return self.state(lambda s: getattr(s.workflows, write)(attrs.evolve(state, **changes)))

    @rule(target=seen_workflows, state=some.workflows | seen_workflows, saved=some.saved_fields)
    def restore_workflow(self, state: WorkflowState, saved: dict[str, Any]) -> MultipleResults[Any]:
        return self.state(lambda s: s.workflows.restore(attrs.evolve(state, **saved)))

    @rule(target=seen_workflows, key=some.workflow_exec_ids, changes=st.none() | changes)
    def modify_workflow(self, key: str, changes: dict[str, Any] | None) -> MultipleResults[Any]:
        return self.state(lambda s: s.workflows.modify(key, change(changes)))

    @rule(state=some.workflows, bad=some.illegal_documents(), field=st.sampled_from(["in", "out"]))
    def write_illegal_document(self, state: WorkflowState, bad: Any, field: str) -> None:
        illegal = attrs.evolve(state, **{f"{field}put": bad})
        outcome = self.both(lambda s: s.workflows.upsert(illegal))
        assert isinstance(outcome, EngineStoreError)

    @rule(
        key=some.workflow_exec_ids,
        status=some.statuses,
        version=st.none() | st.integers(0, 4),
        expected=statuses,
    )
    def set_status(
        self,
        key: str,
        status: Status,
        version: int | None,
        expected: Collection[Status] | None,
    ) -> None:
        self.both(
            lambda s: s.workflows.set_status(
                key, status, expected_version=version, expected_statuses=expected
            )
        )

    @rule(key=some.workflow_exec_ids, usage=some.usages)
    def merge_workflow_usage(self, key: str, usage: UsageSummary) -> None:
        self.both(lambda s: s.workflows.merge_usage(key, usage))

    @rule(key=some.workflow_exec_ids, transform=st.sampled_from(TRANSFORMS))
    def complete(self, key: str, transform: Callable[[WorkflowState], Any] | None) -> None:
        self.both(lambda s: s.workflows.complete(key, transform))

    @rule(target=seen_workflows, key=some.workflow_exec_ids, with_tasks=st.booleans())
    def get_workflow(self, key: str, with_tasks: bool) -> MultipleResults[Any]:
        self.both(lambda s: s.workflows.get_for_update(key))
        return self.state(lambda s: s.workflows.get(key, with_tasks=with_tasks))

    @rule(key=some.illegal_ids)
    def use_an_illegal_id(self, key: Any) -> None:
        for call in (
            lambda s: s.users.get(key),
            lambda s: s.workflows.delete(key),
            lambda s: s.tasks.tree(key),
        ):
            assert isinstance(self.both(call), EngineStoreError)

    @rule(
        workflow_id=some.workflow_ids,
        task_id=st.none() | some.task_ids,
        agent_id=st.none() | some.agent_ids,
        tool_id=st.none() | some.tool_ids,
    )
    def latest(self, workflow_id: str, **having: str | None) -> None:
        self.both(lambda s: s.workflows.latest(workflow_id, **having))

    @rule(filter=filters, limit=limits)
    def list_workflows(self, filter: WorkflowFilter, limit: int) -> None:
        self.pages(lambda s, cursor: s.workflows.list(filter, limit=limit, cursor=cursor))

    @rule(state=seen_workflows)
    def delete_workflow(self, state: WorkflowState) -> None:
        self.both(lambda s: s.workflows.delete(state.workflow_exec_id))

    @rule(
        older_than=some.times,
        statuses=st.none() | st.lists(some.statuses, min_size=1, max_size=3),
        batch_size=st.integers(1, 3),
        dry_run=st.booleans(),
    )
    def purge(
        self,
        older_than: datetime,
        statuses: list[Status] | None,
        batch_size: int,
        dry_run: bool,
    ) -> None:
        given: dict[str, Any] = {} if statuses is None else {"statuses": statuses}
        self.both(
            lambda s: s.workflows.purge(older_than, batch_size=batch_size, dry_run=dry_run, **given)
        )
