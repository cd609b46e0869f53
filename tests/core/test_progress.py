"""Progress: counts, rates and the overall status under each strategy (contract 6.6)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine_store.models import TERMINAL, Status, Strategy
from engine_store.rules.outcomes import overall_status, progress

PENDING, RUNNING, SUCCESS, FAILED, TIMED_OUT, CANCELED, WAITING, PAUSED = (
    Status.PENDING,
    Status.RUNNING,
    Status.SUCCESS,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.CANCELED,
    Status.WAITING,
    Status.PAUSED,
)
ACTIVE = {RUNNING, WAITING, PAUSED}

CHILDREN = st.lists(st.sampled_from(list(Status)), max_size=8)


def expected(children: list[Status], strategy: Strategy) -> Status:
    """Contract 6.6 read literally, child by child."""
    if not children:
        return PENDING
    all_terminal = all(child in {SUCCESS, FAILED, CANCELED, TIMED_OUT} for child in children)
    all_success = all(child is SUCCESS for child in children)
    any_success = SUCCESS in children
    any_failed = FAILED in children or TIMED_OUT in children
    running = PENDING if all(child is PENDING for child in children) else RUNNING
    if strategy is Strategy.WAIT_ALL:
        if all_success:
            return SUCCESS
        return running if any(c in ACTIVE or c is PENDING for c in children) else FAILED
    if strategy is Strategy.FAIL_FAST:
        if any_failed:
            return FAILED
        return SUCCESS if all_success else running
    if strategy is Strategy.BEST_EFFORT:
        if all_terminal:
            return SUCCESS if any_success else FAILED
        return running
    assert strategy is Strategy.RACE
    if any_success:
        return SUCCESS
    return FAILED if all_terminal else running


@given(CHILDREN)
@example([])
@example(list(Status))
def test_the_overall_status_is_what_the_table_says(children):
    found = progress(Counter(children))
    assert set(found.overall) == set(Strategy)
    for strategy in Strategy:
        assert found.overall[strategy] is expected(children, strategy)


@given(CHILDREN)
def test_children_are_counted_by_status(children):
    found = progress(Counter(children))
    assert found.counts == {status: children.count(status) for status in Status}
    assert found.total == len(children)
    assert found.terminal == sum(child in TERMINAL for child in children)
    assert found.running == sum(child in ACTIVE for child in children)
    assert found.terminal + found.running + found.counts[PENDING] == found.total


@given(CHILDREN.filter(bool))
def test_the_rates_are_fractions_of_all_children(children):
    found = progress(Counter(children))
    assert found.completion_rate == children.count(SUCCESS) / len(children)
    failed = children.count(FAILED) + children.count(TIMED_OUT)
    assert found.failure_rate == failed / len(children)
    assert 0 <= found.completion_rate + found.failure_rate <= 1


def test_without_children_everything_is_zero_and_pending():
    found = progress({})
    assert (found.total, found.terminal, found.running) == (0, 0, 0)
    assert (found.completion_rate, found.failure_rate) == (0.0, 0.0)
    assert found.overall == dict.fromkeys(Strategy, PENDING)


@pytest.mark.parametrize("missing", list(Status))
def test_a_status_left_out_counts_zero(missing):
    counts = {status: 1 for status in Status if status is not missing}
    assert progress(counts) == progress({**counts, missing: 0})


@pytest.mark.parametrize(
    ("children", "wait_all", "fail_fast", "best_effort", "race"),
    [
        ([PENDING, PENDING], PENDING, PENDING, PENDING, PENDING),
        ([PENDING, RUNNING], RUNNING, RUNNING, RUNNING, RUNNING),
        ([PENDING, SUCCESS], RUNNING, RUNNING, RUNNING, SUCCESS),
        ([PENDING, FAILED], RUNNING, FAILED, RUNNING, RUNNING),
        ([PENDING, CANCELED], RUNNING, RUNNING, RUNNING, RUNNING),
        ([WAITING], RUNNING, RUNNING, RUNNING, RUNNING),
        ([PAUSED, SUCCESS], RUNNING, RUNNING, RUNNING, SUCCESS),
        ([SUCCESS, SUCCESS], SUCCESS, SUCCESS, SUCCESS, SUCCESS),
        ([SUCCESS, FAILED], FAILED, FAILED, SUCCESS, SUCCESS),
        ([SUCCESS, CANCELED], FAILED, RUNNING, SUCCESS, SUCCESS),
        ([RUNNING, TIMED_OUT], RUNNING, FAILED, RUNNING, RUNNING),
        ([FAILED, FAILED], FAILED, FAILED, FAILED, FAILED),
        ([TIMED_OUT], FAILED, FAILED, FAILED, FAILED),
        ([CANCELED, CANCELED], FAILED, RUNNING, FAILED, FAILED),
    ],
)
def test_named_cases(children, wait_all, fail_fast, best_effort, race):
    assert progress(Counter(children)).overall == {
        Strategy.WAIT_ALL: wait_all,
        Strategy.FAIL_FAST: fail_fast,
        Strategy.BEST_EFFORT: best_effort,
        Strategy.RACE: race,
    }


@given(CHILDREN, st.sampled_from(list(Strategy)))
def test_overall_status_answers_for_one_strategy(children, strategy):
    counts = {status: children.count(status) for status in Status}
    assert overall_status(counts, strategy) is progress(counts).overall[strategy]
