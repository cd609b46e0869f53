"""Usage summaries: merging in any order gives the same, and counts nothing twice (contract 7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_store.models import UsageEntry, UsageSummary
from engine_store.rules.checks import check_usage

EARLY = datetime(2024, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(microseconds=1)

REQUIRED = ("prompt_tokens", "completion_tokens")
OPTIONAL = (
    "reasoning_tokens",
    "cached_prompt_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)

# Few names in many spellings, so that entries meet.
NAMES = st.sampled_from(["openai", " openai", "openai\t", "OpenAI", "groq", "\u00a0groq "])
SOURCES = st.sampled_from([None, "", "  ", "sdk", "SDK", " Sdk ", "straße", "STRASSE", "ſdk"])
COUNTS = st.integers(0, 2**50)
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
ENTRIES = st.builds(
    UsageEntry,
    provider=NAMES,
    model=NAMES,
    prompt_tokens=COUNTS,
    completion_tokens=COUNTS,
    total_tokens=st.none() | COUNTS,
    **dict.fromkeys(OPTIONAL, st.none() | COUNTS),
    agent_ids=st.lists(st.sampled_from("abcdé"), max_size=4).map(tuple),
    captured_at=TIMES,
    updated_at=TIMES,
    source=SOURCES,
)
ENTRY_LISTS = st.lists(ENTRIES, max_size=6)
SUMMARIES = ENTRY_LISTS.map(UsageSummary.of)


def identity(entry: UsageEntry) -> tuple[str, str, str]:
    """What contract 7 keys entries by, said once more."""
    return entry.provider.strip(), entry.model.strip(), (entry.source or "").strip().casefold()


def known(entries: list[UsageEntry], name: str) -> list:
    """The values that some entry gives for an optional field."""
    return [value for entry in entries if (value := getattr(entry, name)) is not None]


def total(entry: UsageEntry) -> int:
    """The total an entry reports, or the one that follows from its counts."""
    if entry.total_tokens is None:
        return entry.prompt_tokens + entry.completion_tokens
    return entry.total_tokens


# --- of: the canonical form --------------------------------------------------------------------


@given(ENTRY_LISTS)
def test_a_summary_is_what_contract_7_says_of_its_entries(entries):
    groups: dict[tuple[str, str, str], list[UsageEntry]] = {}
    for entry in entries:
        groups.setdefault(identity(entry), []).append(entry)

    summary = UsageSummary.of(entries)

    assert [identity(entry) for entry in summary.entries] == sorted(groups)
    for merged in summary.entries:
        group = groups[identity(merged)]
        for name in REQUIRED:
            assert getattr(merged, name) == sum(getattr(entry, name) for entry in group)
        assert merged.total_tokens == sum(total(entry) for entry in group)
        for name in OPTIONAL:
            counts = known(group, name)
            assert getattr(merged, name) == (sum(counts) if counts else None)
        assert merged.agent_ids == tuple(sorted({a for entry in group for a in entry.agent_ids}))
        assert merged.captured_at == min(known(group, "captured_at"), default=None)
        assert merged.updated_at == max(known(group, "updated_at"), default=None)


@given(ENTRY_LISTS)
def test_the_names_of_a_summary_are_trimmed_and_its_sources_folded(entries):
    for entry in UsageSummary.of(entries).entries:
        assert (entry.provider, entry.model, entry.source or "") == identity(entry)
        assert entry.source != ""


@given(SUMMARIES)
def test_the_canonical_form_of_a_summary_is_itself(summary):
    assert UsageSummary.of(summary.entries) == summary
    check_usage(summary)


@given(st.data())
def test_the_order_of_entries_does_not_matter(data):
    entries = data.draw(ENTRY_LISTS)
    shuffled = data.draw(st.permutations(entries))
    assert UsageSummary.of(shuffled) == UsageSummary.of(entries)


def test_any_iterable_of_entries_will_do():
    entries = [UsageEntry("p", "m"), UsageEntry("q", "m")]
    assert UsageSummary.of(iter(entries)) == UsageSummary.of(tuple(entries))
    assert UsageSummary.of(()) == UsageSummary()


def test_entries_are_sorted_by_provider_model_and_source():
    keys = [("a", "z", "z"), ("b", "a", None), ("b", "a", "a"), ("b", "a", "b"), ("b", "b", None)]
    entries = [UsageEntry(provider, model, source=source) for provider, model, source in keys]
    for order in permutations(entries):
        found = UsageSummary.of(order).entries
        assert [(entry.provider, entry.model, entry.source) for entry in found] == keys


def test_sources_are_compared_without_case_providers_and_models_with_it():
    summary = UsageSummary.of(
        [
            UsageEntry("OpenAI", "o3", 1, source="SDK"),
            UsageEntry("OpenAI", "o3", 2, source=" sdk "),
            UsageEntry("openai", "o3", 4, source="sdk"),
            UsageEntry("OpenAI", "O3", 8, source="sdk"),
        ]
    )
    counted = [(entry.provider, entry.model, entry.prompt_tokens) for entry in summary.entries]
    assert counted == [("OpenAI", "O3", 8), ("OpenAI", "o3", 3), ("openai", "o3", 4)]
    assert {entry.source for entry in summary.entries} == {"sdk"}


def test_an_empty_source_is_an_absent_one():
    sources = (None, "", " \t")
    summary = UsageSummary.of(UsageEntry("p", "m", 1, source=source) for source in sources)
    assert [(entry.source, entry.prompt_tokens) for entry in summary.entries] == [(None, 3)]


# --- totals and optional counts ----------------------------------------------------------------


def test_a_missing_total_is_prompt_and_completion():
    (entry,) = UsageSummary.of([UsageEntry("p", "m", 3, 4)]).entries
    assert entry.total_tokens == 7


def test_a_total_that_was_given_stays_even_where_it_is_no_sum():
    (entry,) = UsageSummary.of([UsageEntry("p", "m", 3, 4, total_tokens=0)]).entries
    assert entry.total_tokens == 0


def test_a_total_missing_on_one_side_is_filled_before_it_is_added():
    given_total = UsageEntry("p", "m", 1, 1, total_tokens=100)
    missing = UsageEntry("p", "m", 3, 4)
    for order in permutations([given_total, missing, missing]):
        (entry,) = UsageSummary.of(order).entries
        assert (entry.prompt_tokens, entry.completion_tokens) == (7, 9)
        assert entry.total_tokens == 114


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize(
    ("one", "other", "both"), [(None, None, None), (None, 0, 0), (0, None, 0), (2, 3, 5), (0, 0, 0)]
)
def test_an_absent_count_stays_absent_only_if_absent_on_both_sides(name, one, other, both):
    left = UsageSummary.of([UsageEntry("p", "m", **{name: one})])
    right = UsageSummary.of([UsageEntry("p", "m", **{name: other})])
    (entry,) = left.merge(right).entries
    assert getattr(entry, name) == both


def test_the_earliest_capture_and_the_latest_update_are_kept():
    entries = [
        UsageEntry("p", "m", captured_at=LATE, updated_at=EARLY),
        UsageEntry("p", "m", captured_at=EARLY, updated_at=LATE),
        UsageEntry("p", "m"),
    ]
    for order in permutations(entries):
        (entry,) = UsageSummary.of(order).entries
        assert (entry.captured_at, entry.updated_at) == (EARLY, LATE)


def test_agent_ids_are_united_and_sorted_by_code_point():
    left = UsageSummary.of([UsageEntry("p", "m", agent_ids=("é", "b", "b"))])
    right = UsageSummary.of([UsageEntry("p", "m", agent_ids=("b", "Z", "a"))])
    (entry,) = left.merge(right).entries
    assert entry.agent_ids == ("Z", "a", "b", "é")


# --- merge: a commutative monoid ---------------------------------------------------------------


@given(SUMMARIES, SUMMARIES)
def test_merging_is_commutative(a, b):
    assert a.merge(b) == b.merge(a)


@given(SUMMARIES, SUMMARIES, SUMMARIES)
def test_merging_is_associative(a, b, c):
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(SUMMARIES)
def test_nothing_used_is_the_neutral_element(summary):
    assert summary.merge(UsageSummary()) == summary
    assert UsageSummary().merge(summary) == summary


@given(ENTRY_LISTS, ENTRY_LISTS)
def test_merging_summaries_is_summing_up_all_their_entries(a, b):
    assert UsageSummary.of(a).merge(UsageSummary.of(b)) == UsageSummary.of([*a, *b])


@given(ENTRY_LISTS, ENTRY_LISTS)
def test_merging_raw_entries_is_merging_their_canonical_forms(a, b):
    raw = UsageSummary(tuple(a)).merge(UsageSummary(tuple(b)))
    assert raw == UsageSummary.of(a).merge(UsageSummary.of(b))


@given(SUMMARIES, SUMMARIES)
def test_nothing_is_counted_twice_and_nothing_is_lost(a, b):
    both = a.merge(b).entries
    for name in (*REQUIRED, "total_tokens", *OPTIONAL):
        separate = sum(known(list(a.entries), name)) + sum(known(list(b.entries), name))
        assert sum(known(list(both), name)) == separate


@given(SUMMARIES, SUMMARIES)
def test_merging_leaves_both_sides_as_they_were(a, b):
    before = attrs.asdict(a), attrs.asdict(b)
    a.merge(b)
    assert (attrs.asdict(a), attrs.asdict(b)) == before
