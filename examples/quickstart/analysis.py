"""Text analysis: counts, top terms, readability. Pure functions of a text; no files, no store.

The rules are plain, so that every number can be checked by hand:

- A **word** is a run of letters, marks and digits of any script; `'`, `-` and `_` inside one
  belong to it (`compare-and-set` is one word). Scripts written without spaces make long words.
- A **sentence** ends at `.`, `!`, `?` or an ellipsis before a blank, unless a small letter
  follows (so not after `e.g.`), at an ideographic full stop, at an empty line, and before a
  Markdown heading, list item, quotation or table row. It has at least one word.
- **Reading ease** is Flesch's: 206.835 - 1.015 words/sentence - 84.6 syllables/word. About 100 is
  very easy, 60 plain, below 30 hard. It was made for English, and so is the count of syllables:
  groups of vowels, without a silent final e.
- A **token** is up to four letters or digits in a row, or one other visible character. Nobody's
  tokenizer cuts just so, but it comes near and needs no vocabulary.
"""

from __future__ import annotations

import heapq
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping

from attrs import frozen

TOP_TERMS = 5

# `\w` leaves out the marks that Indic and other scripts write vowels with.
_MARKS = "".join(
    chr(code)
    for code in range(0x300, min(0x10000, sys.maxunicode))
    if unicodedata.category(chr(code)).startswith("M")
)
_LETTERS = rf"[^\W_]++(?:[{_MARKS}]++[^\W_]*+)*+"
_WORD = re.compile(rf"{_LETTERS}(?:(?:['’-]|_+){_LETTERS})*+")
_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")
_BLOCK = re.compile(r"\n\s*\n|\n(?=[ \t]*(?:[#>|]|[-*+][ \t]|\d+[.)][ \t]))")
# Possessive, and only from the start of a run of stops: linear in any text, dotted lines too.
_STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+(?:\s++|\Z)|[。！？]++")
_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)
_VOWELS = re.compile(r"[aeiouyæøœ]+")

_TERM_LENGTH = range(3, 41)

STOP_WORDS = frozenset(
    """
    a about above after again against all also although always am an and another any are around as
    at be because been before being below between both but by can cannot could did do does doing
    done down during each either else ever every few for from further get gets got had has have
    having he her here hers him his how however i if in into is it its itself just less let like
    made make makes many may me might more most much must my neither never no none nor not nothing
    now of off often on once one only onto or other others our out over own per same shall she
    should since so some still such than that the their theirs them then there these they this
    those through thus to too two under until up upon us use used uses using very via was we well
    were what when where whether which while who whom whose why will with within without would yet
    you your yours don't doesn't isn't it's can't won't aren't didn't that's there's
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


@frozen
class Analysis:
    """What is found in one text. `top_terms` are pairs of term and count, the commonest first."""

    words: int
    sentences: int
    syllables: int
    tokens: int
    top_terms: tuple[tuple[str, int], ...]

    @property
    def reading_ease(self) -> float | None:
        """Flesch reading ease, to one place; None for a text without words."""
        return reading_ease(self.words, self.sentences, self.syllables)


def analyse(text: str, *, markdown: bool = False) -> Analysis:
    """The analysis of `text`; of Markdown without its fenced code, which is no prose.

    `tokens` counts the whole text, as a model would have to read it.
    """
    prose = unicodedata.normalize("NFC", _FENCED.sub("", text) if markdown else text)
    counts = Counter(word.replace("’", "'").casefold() for word in _WORD.findall(prose))
    return Analysis(
        words=counts.total(),
        sentences=count_sentences(prose),
        syllables=sum(count_syllables(word) * times for word, times in counts.items()),
        tokens=count_tokens(text),
        top_terms=top(counts),
    )


def top(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The commonest terms among counted words: no stop words, no numbers; ties by alphabet."""
    terms = ((word, times) for word, times in counts.items() if _is_term(word))
    return tuple(heapq.nsmallest(TOP_TERMS, terms, key=lambda term: (-term[1], term[0])))


def _is_term(word: str) -> bool:
    return len(word) in _TERM_LENGTH and word not in STOP_WORDS and not word[0].isdigit()


def count_tokens(text: str) -> int:
    """The number of tokens, by the rule of this module."""
    return sum(1 for _ in _TOKEN.finditer(text))


def count_sentences(text: str) -> int:
    """The number of sentences, by the rule of this module."""
    return sum(map(_sentences_in_block, _BLOCK.split(text)))


def _sentences_in_block(block: str) -> int:
    count = start = 0
    for stop in _STOP.finditer(block):
        if not block[stop.end() : stop.end() + 1].islower():
            count += _WORD.search(block, start, stop.start()) is not None
            start = stop.end()
    return count + (_WORD.search(block, start) is not None)


def count_syllables(word: str) -> int:
    """The number of syllables of an English word, by the rule of this module; at least one."""
    letters = unicodedata.normalize("NFD", word)  # an accent is no silent e: café has two
    groups = len(_VOWELS.findall(letters))
    silent = letters.endswith("e") and not letters.endswith(("le", "ee"))
    return max(1, groups - silent)


def reading_ease(words: int, sentences: int, syllables: int) -> float | None:
    """Flesch reading ease of a text with these counts, to one place; None without words."""
    if not (words and sentences):
        return None
    return round(206.835 - 1.015 * words / sentences - 84.6 * syllables / words, 1)
