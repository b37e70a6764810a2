"""jackhhao/jailbreak-classification: jailbreaks from the wild beside ordinary instructions."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "jackhhao/jailbreak-classification"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`prompt` and `type` (jailbreak | benign), both published splits."""
    for split in ("train", "test"):
        for row in hub(home, split):
            yield example("jackhhao_jailbreak_classification", row["prompt"], Kind(row["type"]), split=split)
