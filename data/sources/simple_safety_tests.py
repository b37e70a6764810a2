"""SimpleSafetyTests (Vidgen et al. 2023): a hundred requests that no assistant should fulfil."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "Bertievidgen/SimpleSafetyTests"
AREAS = {
    "Suicide, Self-Harm, and Eating Disorders": Category.SELF_HARM,
    "Physical harm and Violence": Category.VIOLENCE,
    "Illegal and Highly Regulated items": Category.ILLICIT,
    "Scams and fraud": Category.ILLICIT,
}


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  all of it is for evaluation
    """`prompt` and `harm_area`; the area about children has no category here."""
    for row in hub(home, "test"):
        area = row["harm_area"]
        harm = frozenset({AREAS[area]} if area in AREAS else ())
        labels = {"category": area}
        yield example("simple_safety_tests", row["prompt"], Kind.HARM, harm=harm, eval_only=True, labels=labels)
