"""Rules for workflow executions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, rule

from engine_store.entities import WORKFLOW
from engine_store.models import Status, UsageSummary, WorkflowState
from engine_store_contracts import strategies as some
from engine_store_contracts.machine.base import SideBySide
from engine_store_contracts.machine.rows import FIELDS, listing, writing
from engine_store_contracts.machine.script import Written

seen = Bundle("seen_workflows")

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

    write_workflow, rewrite_workflow, restore_workflow, modify_workflow = writing(
        WORKFLOW,
        seen,
        some.workflows,
        some.workflow_exec_ids,
        ["workflow_id", "status", "output", "usage"],
    )
    list_workflows = listing(WORKFLOW)

    @rule(state=some.workflows, bad=some.illegal_documents(), field=st.sampled_from(["in", "out"]))
    def write_illegal_document(self, state: WorkflowState, bad: Any, field: str) -> None:
        illegal = attrs.evolve(state, **{f"{field}put": bad})
        assert self.both(lambda s: s.workflows.upsert(illegal)).error is not None

    @rule(
        key=some.workflow_exec_ids,
        status=some.statuses,
        version=st.none() | st.integers(0, 4),
        expected=st.none() | FIELDS["statuses"],
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

    @rule(target=seen, key=some.workflow_exec_ids, with_tasks=st.booleans())
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
            assert self.both(call).error is not None

    @rule(
        workflow_id=some.workflow_ids,
        task_id=st.none() | some.task_ids,
        agent_id=st.none() | some.agent_ids,
        tool_id=st.none() | some.tool_ids,
    )
    def latest(self, workflow_id: str, **having: str | None) -> None:
        self.both(lambda s: s.workflows.latest(workflow_id, **having))

    @rule(state=seen)
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
