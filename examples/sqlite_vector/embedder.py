"""From texts to vectors by feature hashing: close are texts of like wording, not of like meaning.

The features of a text are its words, and the runs of three characters in them, so that `claimed`
is near `claim`. A hash gives each feature a place in the vector and a sign; where two features
share a place, the signs make their shares cancel out on average. Longer words count for more, as
they say more. Nothing was learned from any text: `car` is as far from `automobile` as from `tree`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""A row for each text."""

EMBEDDER = "hashed-words-and-trigrams-1"
"""Names what `embed` does. What was ingested under another name is ingested anew."""

_WORD = re.compile(r"[^\W_]+")
_LONG = 8
"""Letters of a word that counts in full."""


def embed(texts: Sequence[str], dimension: int) -> Vectors:
    """The vectors of the texts, each of length 1; of a text without words, zeros.

    The one function to replace by a real model. The same text must give the same vector, in any
    process, at any time.
    """
    vectors = np.zeros((len(texts), dimension), dtype=np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for feature, weight in _features(text).items():
            place, sign = _place(feature, dimension)
            vector[place] += sign * weight**0.5  # said ten times is not ten times as much
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    vectors /= lengths
    return vectors


def _features(text: str) -> Mapping[str, float]:
    """Each feature and its weight. A word's trigrams weigh together what the word does."""
    found: dict[str, float] = defaultdict(float)
    for word in _WORD.findall(text.casefold()):
        weight = min(len(word), _LONG) / _LONG
        padded = f" {word} "
        found[word] += weight
        for start in range(len(word)):
            found[f"~{padded[start : start + 3]}"] += weight / len(word)
    return found


@lru_cache(maxsize=1 << 16)
def _place(feature: str, dimension: int) -> tuple[int, int]:
    """Where a feature is counted, and with which sign. Python's own `hash` differs by process."""
    number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest())
    return number // 2 % dimension, 1 if number % 2 else -1
