"""The rules every driver shares, as pure functions: progress (6.6) and completion (5.5)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from engine_store.errors import WorkflowNotReadyError
from engine_store.models import TERMINAL, ErrorInfo, Progress, Status, Strategy, WorkflowState
from engine_store.rules.sizes import size_of
from engine_store.values import MAX_DOCUMENT_BYTES, Document, check_size, check_workflow_output

Transform = Callable[[WorkflowState], Document | None]
"""Makes the output of a workflow from a copy of its state with `tasks` filled."""

OUTPUT_TRANSFORMATION_FAILED = "OUTPUT_TRANSFORMATION_FAILED"

_RUNNING = (Status.RUNNING, Status.WAITING, Status.PAUSED)
_FAILED = (Status.FAILED, Status.TIMED_OUT)


def progress(counts: Mapping[Status, int]) -> Progress:
    """The progress of children counted by status; statuses left out count 0."""
    full = {status: counts.get(status, 0) for status in Status}
    total = sum(full.values())
    failed = sum(full[status] for status in _FAILED)
    return Progress(
        counts=full,
        total=total,
        terminal=sum(full[status] for status in TERMINAL),
        running=sum(full[status] for status in _RUNNING),
        completion_rate=full[Status.SUCCESS] / total if total else 0.0,
        failure_rate=failed / total if total else 0.0,
        overall={strategy: overall_status(full, strategy) for strategy in Strategy},
    )


def overall_status(counts: Mapping[Status, int], strategy: Strategy) -> Status:
    """The status that children counted by status add up to under `strategy`."""
    total = sum(counts.values())
    success = counts[Status.SUCCESS]
    failed = sum(counts[status] for status in _FAILED)
    unfinished = total - sum(counts[status] for status in TERMINAL)
    if counts[Status.PENDING] == total:  # also where there are no children
        return Status.PENDING
    match strategy:
        case Strategy.WAIT_ALL if success == total:
            return Status.SUCCESS
        case Strategy.WAIT_ALL if not unfinished:
            return Status.FAILED
        case Strategy.FAIL_FAST if failed:
            return Status.FAILED
        case Strategy.FAIL_FAST if success == total:
            return Status.SUCCESS
        case Strategy.BEST_EFFORT if not unfinished:
            return Status.SUCCESS if success else Status.FAILED
        case Strategy.RACE if success:
            return Status.SUCCESS
        case Strategy.RACE if not unfinished:
            return Status.FAILED
    return Status.RUNNING


def completed(
    state: WorkflowState,
    roots: Mapping[str, Status],
    transform: Transform | None = None,
    *,
    max_document_bytes: int = MAX_DOCUMENT_BYTES,
) -> WorkflowState:
    """`state`, whose `tasks` must be filled, with the status, output and error of its end.

    `roots` has the status of the latest execution of each root task by `task_id`. Raises
    `WorkflowNotReadyError` where one is not terminal. The caller has seen that `state` is not
    terminal already. An output that is too large is as good as a transform that raises.
    """
    unfinished = sorted(task_id for task_id, status in roots.items() if status not in TERMINAL)
    if unfinished:
        raise WorkflowNotReadyError(state.workflow_exec_id, tuple(unfinished))
    status = _status_of(set(roots.values()))
    default = _default_output(state)
    try:
        output: Document | None = default
        if transform is not None:
            output = transform(copy.deepcopy(state))  # it may change what it is given
            output = check_workflow_output(output, "output")
        check_size(size_of(output), "output", max_document_bytes)
    except Exception as exc:  # noqa: BLE001 - whatever the caller's function raises is its result
        error = _transform_error(exc, max_document_bytes // 8)
        left = default if size_of(default) <= max_document_bytes else None
        return state.evolve(status=Status.FAILED, output=left, error=error)
    return state.evolve(status=status, output=output)


def _status_of(roots: set[Status]) -> Status:
    if roots & {Status.FAILED, Status.TIMED_OUT}:
        return Status.FAILED
    return Status.CANCELED if Status.CANCELED in roots else Status.SUCCESS


def _default_output(state: WorkflowState) -> Document:
    return {
        task_id: {
            "output": task.output,
            "parent_state_id": task.parent_state_id,
            "execution_type": task.execution_type.value,
        }
        for task_id, task in state.tasks.items()
    }


def _transform_error(exc: Exception, longest: int) -> ErrorInfo:
    """The error of a transform that raised; its text is cut, and brought into the value domain."""
    try:
        text = str(exc)[:longest].encode(errors="backslashreplace").decode().replace("\0", "\\0")
    except Exception:  # noqa: BLE001 - an exception may be unable to say what it is
        text = ""
    name = type(exc).__name__[:255]
    return ErrorInfo(
        message=text or name,
        code=OUTPUT_TRANSFORMATION_FAILED,
        details={"type": name},
    )
