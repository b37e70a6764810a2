"""Text -> sets of hashed word sequences, the common ground of the overlap audit and of the grouping.

Words are compared case-folded, NFKC-normalised and without punctuation; an emoji is a word, and so is each
character of a script without spaces. Hashes are stable between processes and machines.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # Thai, kana, Han
_PICTURES = "\u2600-\u27bf\U0001f000-\U0001faff"  # an emoji can be all that makes a text hateful
_WORD = re.compile(rf"[{_UNSPACED}{_PICTURES}]|[^\W_{_UNSPACED}]+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so multiplication permutes 64-bit numbers
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def words(text: str) -> list[str]:
    """The words that two texts are compared by."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def canonical(text: str) -> str:
    """What is equal for two texts that differ in case, spacing and punctuation only."""
    return " ".join(words(text)) or "".join(text.split())


class Shingler:
    """Turns texts into word hashes; remembers the hash of every word that it met."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def hash_words(self, text: str) -> Hashes:
        """One 64-bit hash a word, in order; shape [words]."""
        return np.fromiter((self._hash(word) for word in words(text)), dtype=np.uint64)

    def _hash(self, word: str) -> int:
        known = self._known.get(word)
        if known is None:
            known = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
            self._known[word] = known
        return known


def sequences(hashed: Hashes, length: int) -> Hashes:
    """The distinct runs of `length` words, hashed and sorted; empty where the text is shorter."""
    count = len(hashed) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    rolled = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        rolled = rolled * _FACTOR + hashed[offset : offset + count]
    return np.unique((rolled ^ (rolled >> np.uint64(31))) * _MIX)


def pairs(hashed: Hashes) -> Hashes:
    """The distinct neighbouring words, the text's start and end counted as words; sorted."""
    edge = np.array([1], dtype=np.uint64)
    return sequences(np.concatenate([edge, hashed, edge]), 2)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Size of the intersection over size of the union of two sorted sets; 0.0 for two empty ones."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0
