"""deepset/prompt-injections: typed injections and questions, English and German."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "deepset/prompt-injections"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:
    """`text` and `label` (1: injection); the published test split is for evaluation."""
    split = "test" if part == "eval" else "train"
    for row in hub(home, split):
        kind = Kind.INJECTION if row["label"] == 1 else Kind.BENIGN
        yield example("deepset_prompt_injections", row["text"], kind, split=split, eval_only=part == "eval")
