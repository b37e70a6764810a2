"""Which rows cannot be trusted, and what is known of those that stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from data.schema import CATEGORIES, Category, Example
from data.shingles import canonical


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The rows that stay, in their old order, and how many of each source left for which reason."""

    examples: list[Example]
    dropped: dict[str, Counter[str]] = field(default_factory=dict)


def contradict(left: Example, right: Example) -> bool:
    """Whether one says yes and the other no about the same category."""
    ours, theirs = left.targets(), right.targets()
    return any({ours[category], theirs[category]} == {0.0, 1.0} for category in CATEGORIES)


def resolve(examples: Sequence[Example], clusters: Sequence[int]) -> Cleaned:
    """Keep one row of each text, and no row whose label another row of the same text denies.

    Rows of one text that contradict one another leave together, unless one side is weak: then that side
    leaves. In a cluster of near-duplicates (`clusters`, one number a row) a weak row that a strong row
    contradicts leaves too.
    """
    dropped: dict[int, str] = {}
    for rows in _same(canonical(example.text) for example in examples):
        dropped.update(_resolve_text(rows, examples))
    for rows in _same(clusters):
        strong = [row for row in rows if row not in dropped and not examples[row].weak][:50]
        for row in rows:
            if row not in dropped and examples[row].weak and _denied(row, strong, examples):
                dropped[row] = "near_conflict"
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row, reason in dropped.items():
        counts[reason][examples[row].source] += 1
    return Cleaned([example for row, example in enumerate(examples) if row not in dropped], dict(counts))


def _resolve_text(rows: Sequence[int], examples: Sequence[Example]) -> dict[int, str]:
    strong = [row for row in rows if not examples[row].weak]
    dropped = {row: "conflict" for row in rows if examples[row].weak and _denied(row, strong, examples)}
    left = [row for row in rows if row not in dropped]
    conflicting = [row for row in left if _denied(row, left, examples)]
    dropped |= dict.fromkeys(conflicting, "conflict")
    kept = sorted((row for row in left if row not in dropped), key=lambda row: (examples[row].weak, row))
    return dropped | dict.fromkeys(kept[1:], "duplicate")


def _denied(row: int, others: Iterable[int], examples: Sequence[Example]) -> bool:
    return any(other != row and contradict(examples[row], examples[other]) for other in others)


def _same(keys: Iterable[object]) -> list[list[int]]:
    rows: dict[object, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        rows[key].append(row)
    return [found for found in rows.values() if len(found) > 1]


def length_summary(lengths: Sequence[int]) -> dict[str, int]:
    """Characters at some quantiles; empty for no rows."""
    ordered = sorted(lengths)
    quantiles = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(at * (len(ordered) - 1))] for name, at in quantiles.items()} if ordered else {}


def target_counts(examples: Iterable[Example]) -> dict[Category, dict[str, int]]:
    """For each category: how many rows say yes, how many no, and how many nothing."""
    counts: dict[Category, Counter[str]] = {
        category: Counter(positive=0, negative=0, masked=0) for category in CATEGORIES
    }
    for example in examples:
        for category, target in example.targets().items():
            counts[category]["masked" if target is None else "positive" if target else "negative"] += 1
    return {category: dict(count) for category, count in counts.items()}
