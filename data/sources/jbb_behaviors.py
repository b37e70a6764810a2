"""JailbreakBench behaviours (Chao et al. 2024): a hundred harmful requests and a hundred harmless likenesses."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "JailbreakBench/JBB-Behaviors"


def examples(part: Part, home: str = HOME, config: str | None = "behaviors") -> Iterator[Example]:  # noqa: ARG001
    """`Goal` of the splits `harmful` and `benign`; the harm has no category of ours."""
    for split, kind in (("harmful", Kind.HARM), ("benign", Kind.BENIGN)):
        for row in hub(home, split, config=config):
            labels = {"label": "harmful" if kind is Kind.HARM else "safe", "category": row["Category"]}
            yield example("jbb_behaviors", row["Goal"], kind, split="test", eval_only=True, labels=labels)
