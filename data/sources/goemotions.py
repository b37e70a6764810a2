"""GoEmotions (Demszky et al. 2020): Reddit comments, without those that express anger or disgust."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "google-research-datasets/go_emotions"
UNFRIENDLY = frozenset({2, 3, 10, 11})  # anger, annoyance, disapproval, disgust


def examples(part: Part, home: str = HOME, config: str | None = "simplified") -> Iterator[Example]:  # noqa: ARG001
    """`text` and `labels` (emotion numbers); nobody judged harm, so the rows are weak."""
    for split in ("train", "validation", "test"):
        for row in hub(home, split, config=config):
            if not UNFRIENDLY & set(row["labels"]):
                yield example("goemotions", row["text"], Kind.BENIGN, split=split, weak=True)
