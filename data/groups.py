"""Rows that are made from one another: they stay on one side of a split.

Two rows are joined if they are near-duplicates (MinHash over neighbouring word pairs, found by locality-sensitive
hashing), if the source names the same template or document for both, or, where it names none, if they begin with
the same words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from datasketch import MinHash, MinHashLSH

from data.schema import Example
from data.shingles import Hashes, Shingler, pairs, words

_SAME: Final = 0.9  # the Jaccard estimate from which a text need not be compared with others any more


@dataclass(frozen=True, slots=True)
class Grouping:
    """For each row, in order: the group that it must not be split from, and its cluster of near-duplicates."""

    groups: list[str]
    clusters: list[int]


class UnionFind:
    """Disjoint sets over 0..size-1; the smallest member stands for its set, so the order of unions is no matter."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def find(self, item: int) -> int:
        """The member that stands for the set of `item`."""
        while self._parents[item] != item:
            self._parents[item] = self._parents[self._parents[item]]
            item = self._parents[item]
        return item

    def union(self, left: int, right: int) -> None:
        """Make one set of two."""
        left, right = sorted((self.find(left), self.find(right)))
        self._parents[right] = left


def group(examples: Sequence[Example], *, threshold: float, permutations: int, prefix_words: int) -> Grouping:
    """Join rows by near-duplication (`threshold`: Jaccard), by source group and by their first `prefix_words` words."""
    near = UnionFind(len(examples))
    for left, right in _near_duplicates([example.text for example in examples], threshold, permutations):
        near.union(left, right)
    clusters = [near.find(row) for row in range(len(examples))]
    joined = UnionFind(len(examples))
    for keys in (
        clusters,
        [example.group for example in examples],
        [None if example.group else _prefix(example.text, prefix_words) for example in examples],
    ):
        for left, right in _same(keys):
            joined.union(left, right)
    return Grouping([_name(examples[joined.find(row)]) for row in range(len(examples))], clusters)


def _same(keys: Iterable[Hashable | None]) -> Iterator[tuple[int, int]]:
    """Each row with the first row of its key; rows without a key stand alone."""
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if key is not None and first.setdefault(key, row) != row:
            yield first[key], row


def _prefix(text: str, count: int) -> str | None:
    """The first words of a text that goes on after them; a short text has no template to share."""
    found = words(text[: count * 40])
    return " ".join(found[:count]) if len(found) > count else None


def _near_duplicates(texts: Sequence[str], threshold: float, permutations: int) -> Iterator[tuple[int, int]]:
    """Pairs that link every cluster of texts at or above `threshold`, by the MinHash estimate."""
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    shingler = Shingler()
    kept: dict[int, MinHash] = {}
    for row, text in enumerate(texts):
        signature = _signature(pairs(shingler.hash_words(text)), permutations)
        resemblance = {other: signature.jaccard(kept[other]) for other in index.query(signature)}
        similar = [other for other, share in resemblance.items() if share >= threshold]
        for other in similar:
            yield other, row
        # one of almost equal texts stands for all: a template with a thousand fillings stays cheap
        if not similar or max(resemblance.values()) < _SAME:
            index.insert(row, signature)
            kept[row] = signature


def _signature(shingles: Hashes, permutations: int) -> MinHash:
    signature = MinHash(num_perm=permutations, seed=1, hashfunc=int)
    signature.update_batch((shingles & np.uint64(0xFFFFFFFF)).tolist())
    return signature


def _name(example: Example) -> str:
    return hashlib.sha256(f"{example.source}\0{example.id}".encode()).hexdigest()[:16]
