"""How much of each source is used, and with which weight."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from data.config import SourceConfig
from data.schema import Example, Kind

HARD_NEGATIVES: Final = Path(__file__).with_name("hard_negatives.txt")
ATTACKS = frozenset({Kind.INJECTION, Kind.JAILBREAK})


@cache
def hard_negatives() -> frozenset[str]:
    """Ids of harmless rows that an earlier model took for attacks (`training.mine`); they are taken first."""
    return frozenset(HARD_NEGATIVES.read_text(encoding="utf-8").split())


def rank(example: Example, seed: int) -> bytes:
    """A stable random order of rows."""
    return hashlib.sha256(f"{seed}\0{example.id}".encode()).digest()


def preferred(examples: Iterable[Example], seed: int) -> list[Example]:
    """The order in which rows of one source are taken: trusted, fully labelled and hard first, else at random."""
    hard = hard_negatives()
    return sorted(examples, key=lambda one: (_doubtful(one), one.id not in hard, rank(one, seed)))


def capped(examples: Sequence[Example], groups: Sequence[str], caps: Mapping[Kind, int], seed: int) -> list[int]:
    """Rows of one source that stay, as indices in rising order: at most `caps[kind]` of each kind.

    One row of every group is taken before a second of any, so no template crowds out the others; hard ones first.
    """
    hard = hard_negatives()
    order = sorted(range(len(examples)), key=lambda row: (examples[row].id not in hard, rank(examples[row], seed)))
    turns: Counter[tuple[Kind, str]] = Counter()
    keys: dict[Kind, list[tuple[bool, int, int]]] = defaultdict(list)
    for row in order:
        kind = examples[row].kind
        keys[kind].append((_doubtful(examples[row]), turns[kind, groups[row]], row))
        turns[kind, groups[row]] += 1
    positions = {row: place for place, row in enumerate(order)}
    kept: list[int] = []
    for kind, found in keys.items():
        found.sort(key=lambda key: (key[0], key[1], positions[key[2]]))
        kept.extend(row for _, _, row in found[: caps.get(kind, 0)])
    return sorted(kept)


def paired(examples: Iterable[Example]) -> list[Example]:
    """The rows without the attacks whose context is not there clean as well: a context must not become a label."""
    rows = list(examples)
    clean = {example.group for example in rows if example.kind is Kind.BENIGN}
    return [example for example in rows if example.kind not in ATTACKS or example.group in clean]


def weights(examples: Sequence[Example], settings: Mapping[str, SourceConfig], weak_weight: float) -> list[float]:
    """What each row counts in training: the source's weight, less for weak labels, more for a clean twin.

    A clean twin weighs as much as the attacks that were made from its context.
    """
    attacks: Counter[tuple[str, str | None]] = Counter()
    clean: Counter[tuple[str, str | None]] = Counter()
    for example in examples:
        (attacks if example.kind in ATTACKS else clean)[example.source, example.group] += 1
    return [_weight(example, settings.get(example.source), weak_weight, attacks, clean) for example in examples]


def _weight(
    example: Example,
    setting: SourceConfig | None,
    weak_weight: float,
    attacks: Counter[tuple[str, str | None]],
    clean: Counter[tuple[str, str | None]],
) -> float:
    weight = weak_weight if example.weak else 1.0
    if setting is not None:
        weight *= setting.weight
        if setting.twins and example.kind is Kind.BENIGN:
            key = (example.source, example.group)
            weight *= max(attacks[key], 1) / clean[key]
    return round(weight, 4)


def _doubtful(example: Example) -> bool:
    return example.weak or (example.kind is Kind.HARM and not example.harm_categories)
