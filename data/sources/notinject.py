"""NotInject (Li and Liu 2024): harmless prompts full of the words that attacks use."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "leolee99/NotInject"
SUBSETS = ("one", "two", "three")  # trigger words in each prompt


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  all of it is for evaluation
    """`prompt`, `word_list`, `category`; every row is benign."""
    for subset in SUBSETS:
        for row in hub(home, f"NotInject_{subset}"):
            labels = {"subset": subset, "category": row["category"], "words": list(row["word_list"])}
            yield example("notinject", row["prompt"], Kind.BENIGN, split="test", eval_only=True, labels=labels)
