"""AdvBench (Zou et al. 2023): harmful behaviours as imperatives."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, table

HOME = "https://raw.githubusercontent.com/llm-attacks/llm-attacks/main/data/advbench/harmful_behaviors.csv"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`goal` of each row."""
    for row in table(home, "csv"):
        yield example("advbench_behaviors", row["goal"], Kind.HARM, harm=frozenset({Category.ILLICIT}))
