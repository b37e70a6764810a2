"""Which side of the split a group stands on."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

Split = Literal["train", "validation"]


def assign(
    groups: Sequence[str],
    strata: Sequence[Iterable[str]],
    *,
    share: float,
    seed: int,
    pinned: Mapping[int, Split] | None = None,
) -> list[Split]:
    """The side of each row: whole groups, about `share` of the rows of every stratum in validation.

    A row may belong to several strata (its source, its categories). Groups are visited in an order that depends
    on their name and the seed alone. A group goes to validation if that brings no stratum over its share, so a
    stratum that is one big template stays in training. `pinned` names rows whose side is settled, by number, and
    settles that of their groups; a group that is pinned to both sides is for training.
    """
    settled: dict[str, Split] = {}
    for row, side in (pinned or {}).items():
        settled[groups[row]] = side if settled.get(groups[row], side) == side else "train"
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, names in zip(groups, strata, strict=True):
        members[group].update(names)
    sizes: Counter[str] = Counter()
    for counts in members.values():
        sizes.update(counts)
    room = {stratum: size * share for stratum, size in sizes.items()}
    chosen = {group for group, side in settled.items() if side == "validation"}
    for group in chosen:
        for stratum, count in members[group].items():
            room[stratum] -= count
    for group in sorted(members.keys() - settled.keys(), key=lambda name: _rank(name, seed)):
        if all(count <= room[stratum] for stratum, count in members[group].items()):
            chosen.add(group)
            for stratum, count in members[group].items():
                room[stratum] -= count
    return ["validation" if group in chosen else "train" for group in groups]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
