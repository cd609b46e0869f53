"""The quickstart's analysis: every number can be checked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quickstart.analysis import (
    Analysis,
    analyse,
    count_sentences,
    count_syllables,
    count_tokens,
    reading_ease,
    top,
)


def test_an_analysis_counts_words_sentences_syllables_tokens_and_terms() -> None:
    assert analyse("The cat sat on the mat. The cat ran!") == Analysis(
        words=9,
        sentences=2,
        syllables=9,
        tokens=11,
        top_terms=(("cat", 2), ("mat", 1), ("ran", 1), ("sat", 1)),
    )


def test_an_empty_text_has_nothing_and_no_reading_ease() -> None:
    found = analyse("")
    assert found == Analysis(words=0, sentences=0, syllables=0, tokens=0, top_terms=())
    assert found.reading_ease is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("... --- !!!", 0),
        ("one two  three\nfour", 4),
        ("compare-and-set isn't task_exec_id", 3),
        ("it’s 3 o'clock", 3),
        ("'quoted' _emphasised_ -dash-", 3),
        ("Straße naïve Ελληνικά русский", 4),
        ("cafe\u0301", 1),
        ("नमस्ते दुनिया", 2),
        ("日本語です。", 1),
    ],
)
def test_a_word_is_a_run_of_letters_of_any_script(text: str, words: int) -> None:
    assert analyse(text).words == words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("no stop at all", 1),
        ("One. Two? Three!", 3),
        ("Really?! Yes...", 2),
        ("Use a lock, e.g. a lease, i.e. a claim that ends.", 1),
        ("Version 3.11 of example.org is out.", 1),
        ('She said "go." He went.', 2),
        ("(One.) Two.", 2),
        ("一。二！三", 3),
        ("A line\nthat goes on. It ends.", 2),
        ("# Heading\nText", 1),
        ("Text\n# Heading\n\nText", 3),
        ("A list:\n- one\n- two\n1. three", 4),
        ("One\n \t\nTwo", 2),
    ],
)
def test_a_sentence_ends_at_a_stop_an_empty_line_or_a_block(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


@pytest.mark.parametrize(
    ("word", "syllables"),
    [
        ("cat", 1),
        ("water", 2),
        ("make", 1),
        ("table", 2),
        ("tree", 1),
        ("café", 2),
        ("transaction", 3),
        ("rhythm", 1),
        ("hmm", 1),
        ("123", 1),
    ],
)
def test_a_syllable_is_a_group_of_vowels_without_a_silent_e(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), (" \n\t", 0), ("word", 1), ("words", 2), ("a, b.", 4), ("{}", 2), ("日本語です", 2)],
)
def test_a_token_is_up_to_four_letters_or_one_other_character(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_the_reading_ease_is_that_of_flesch() -> None:
    # 206.835 - 1.015 * 100 / 5 - 84.6 * 150 / 100
    assert reading_ease(words=100, sentences=5, syllables=150) == 59.6
    assert reading_ease(words=0, sentences=0, syllables=0) is None


def test_top_terms_leave_out_stop_words_numbers_and_very_short_or_long_words() -> None:
    counts = {"the": 9, "2024": 9, "db": 9, "x" * 41: 9, "don't": 9, "store": 2, "claim": 2}
    assert top(counts) == (("claim", 2), ("store", 2))


def test_at_most_five_terms_are_top_and_ties_go_by_the_alphabet() -> None:
    words = ["echo", "delta", "charlie", "bravo", "alpha", "foxtrot", "foxtrot"]
    assert [term for term, _ in analyse(" ".join(words)).top_terms] == [
        "foxtrot",
        "alpha",
        "bravo",
        "charlie",
        "delta",
    ]


def test_terms_are_compared_without_regard_to_case_and_apostrophe() -> None:
    assert analyse("Engine’s ENGINE'S engine's").top_terms == (("engine's", 3),)


def test_fenced_code_is_no_prose_in_markdown_but_its_tokens_are_read() -> None:
    text = "Prose here.\n\n```python\nimport this\n```\n\nMore prose."
    assert analyse(text, markdown=True).words == 4
    assert analyse(text).words == 7
    assert analyse(text, markdown=True).tokens == analyse(text).tokens


def test_a_fence_that_is_never_closed_goes_to_the_end() -> None:
    assert analyse("One two.\n~~~\nthree four", markdown=True).words == 2


@given(st.text(), st.text())
def test_texts_set_apart_by_an_empty_line_add_up(one: str, other: str) -> None:
    a, b, both = analyse(one), analyse(other), analyse(f"{one}\n\n{other}")
    assert both.words == a.words + b.words
    assert both.sentences == a.sentences + b.sentences
    assert both.syllables == a.syllables + b.syllables
    assert both.tokens == a.tokens + b.tokens


@given(st.text(alphabet="aZé\u0301 .!?\n#-'’_`~|1)。"))
def test_every_sentence_has_a_word_and_every_word_a_syllable(text: str) -> None:
    found = analyse(text, markdown=True)
    assert found.sentences <= found.words <= found.syllables
    assert bool(found.sentences) == bool(found.words)
    assert (found.reading_ease is None) == (found.words == 0)
