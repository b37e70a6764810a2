"""What a build found and what it made, as facts: the content of report.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from data.candidates import Candidates
from data.dataset import Row
from data.overlap import HeldOut
from data.planting import SOURCE as PLANTED
from data.quality import Cleaned, length_summary, target_counts
from data.sources import registry


@dataclass(frozen=True, slots=True)
class Facts:
    """What a build learned on its way; `unavailable` gives the reason for each source that could not be read."""

    candidates: Sequence[Candidates]
    cleaned: Cleaned
    held_out: HeldOut
    unavailable: dict[str, str]


def build_report(rows: Sequence[Row], facts: Facts) -> dict[str, object]:
    """Counts only, never a text: by split, by source, by target; what left and why."""
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.example.source].append(row)
    return {
        "splits": {split: _describe([row for row in rows if row.split == split]) for split in ("train", "validation")},
        "sources": {one.source: _source(one, by_source[one.source], facts.cleaned) for one in facts.candidates},
        "dropped": {reason: count.total() for reason, count in sorted(facts.cleaned.dropped.items())},
        "repeated_evaluation_rows": dict(sum((Counter(one.repeated) for one in facts.candidates), Counter())),
        "evaluation_rows": dict(sorted(Counter(name for name, _ in facts.held_out.texts).items())),
        "evaluation_sets_missing": facts.held_out.missing,
        "largest_groups": [size for _, size in Counter(row.group for row in rows).most_common(10)],
        "unavailable": facts.unavailable,
    }


def _describe(rows: Sequence[Row]) -> dict[str, object]:
    examples = [row.example for row in rows]
    return {
        "rows": len(rows),
        "groups": len({row.group for row in rows}),
        "kinds": dict(sorted(Counter(example.kind.value for example in examples).items())),
        "directions": dict(sorted(Counter(example.direction.value for example in examples).items())),
        "weak": sum(example.weak for example in examples),
        "characters": length_summary([len(example.text) for example in examples]),
        "targets": {category.value: counts for category, counts in target_counts(examples).items()},
    }


_OWN: Final = {
    PLANTED: "documents of other sources here, with sentences of ours or of other sources planted (data/planting.py)"
}
_GENERATED: Final = "written by our own generators (data/generators)"
_OWN_LICENCE: Final = {PLANTED: "those of the documents"}


def _source(candidates: Candidates, rows: Sequence[Row], cleaned: Cleaned) -> dict[str, object]:
    source = registry().get(candidates.source)
    return {
        "origin": source.origin if source else _OWN.get(candidates.source, _GENERATED),
        "licence": source.licence if source else _OWN_LICENCE.get(candidates.source, "Apache-2.0"),
        "read": candidates.rows,
        "unlicensed": candidates.unlicensed,
        "unwanted": candidates.unwanted,
        "scanned": candidates.scanned,
        "repeated": candidates.repeated,
        "candidates": len(candidates.examples),
        "dropped": {reason: count[candidates.source] for reason, count in sorted(cleaned.dropped.items())},
        "validation": sum(row.split == "validation" for row in rows),
        "weight": round(sum(row.weight for row in rows), 1),
        **_describe(rows),
    }
