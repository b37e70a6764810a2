"""Which side of the split a group stands on."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

Split = Literal["train", "validation"]


def assign(groups: Sequence[str], strata: Sequence[Iterable[str]], *, share: float, seed: int) -> list[Split]:
    """The side of each row: whole groups, about `share` of the rows of every stratum in validation.

    A row may belong to several strata (its source, its categories). Groups are visited in an order that depends
    on their name and the seed alone. A group goes to validation if that brings no stratum over its share, so a
    stratum that is one big template stays in training.
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, names in zip(groups, strata, strict=True):
        members[group].update(names)
    sizes: Counter[str] = Counter()
    for counts in members.values():
        sizes.update(counts)
    room = {stratum: size * share for stratum, size in sizes.items()}
    chosen: set[str] = set()
    for group in sorted(members, key=lambda name: _rank(name, seed)):
        if all(count <= room[stratum] for stratum, count in members[group].items()):
            chosen.add(group)
            for stratum, count in members[group].items():
                room[stratum] -= count
    return ["validation" if group in chosen else "train" for group in groups]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
