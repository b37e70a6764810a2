"""ToxicChat 0124, test: prompts of real users of a chat demonstration (non-commercial: evaluation only)."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "lmsys/toxic-chat"


def examples(part: Part, home: str = HOME, config: str | None = "toxicchat0124") -> Iterator[Example]:  # noqa: ARG001
    """`user_input`, `toxicity` (1: harmful, of no named category), `human_annotation`."""
    for row in hub(home, "test", config=config):
        kind = Kind.HARM if row["toxicity"] == 1 else Kind.BENIGN
        labels = {"human_annotated_subset": bool(row["human_annotation"]), "jailbreaking": row["jailbreaking"]}
        yield example("toxicchat_test", row["user_input"], kind, split="test", eval_only=True, labels=labels)
