"""HatemojiBuild (Kirk et al. 2022): hate that an emoji carries, and its harmless perturbations."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "HannahRoseKirk/HatemojiBuild"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`text` and `label_gold` (1: hateful), all published splits."""
    for split in ("train", "validation", "test"):
        for row in hub(home, split):
            hateful = int(row["label_gold"]) == 1
            harm = frozenset({Category.HATE} if hateful else ())
            yield example("hatemojibuild", row["text"], Kind.HARM if hateful else Kind.BENIGN, harm=harm, split=split)
