"""XSTest (Röttger et al. 2024): safe prompts that sound dangerous, and dangerous ones that sound alike."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, table

HOME = "https://raw.githubusercontent.com/paul-rottger/exaggerated-safety/main/xstest_v2_prompts.csv"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  all of it is for evaluation
    """`prompt` and `type`; the types named contrast_... are the unsafe ones."""
    for row in table(home, "csv"):
        kind = Kind.HARM if row["type"].startswith("contrast_") else Kind.BENIGN
        labels = {"type": row["type"], "label": "unsafe" if kind is Kind.HARM else "safe"}
        yield example("xstest_v2", row["prompt"], kind, split="test", eval_only=True, labels=labels)
