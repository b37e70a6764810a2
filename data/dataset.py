"""The built dataset on disk: one row a text, one nullable target a category."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import CATEGORIES, Example
from data.splits import Split

TARGETS = {category: f"target_{category.value}" for category in CATEGORIES}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("kind", pa.string()),
        ("direction", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),
        ("weak", pa.bool_()),
        ("weight", pa.float32()),
        *((name, pa.float32()) for name in TARGETS.values()),
    ]
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the built dataset."""

    example: Example
    split: Split
    group: str
    weight: float

    def columns(self) -> dict[str, Any]:
        """Column name -> value; a target is None where the row says nothing of the category."""
        example = self.example
        targets = example.targets()
        return {
            "id": example.id,
            "text": example.text,
            "source": example.source,
            "kind": example.kind.value,
            "direction": example.direction.value,
            "split": self.split,
            "group": self.group,
            "weak": example.weak,
            "weight": self.weight,
            **{name: targets[category] for category, name in TARGETS.items()},
        }


def write_split(path: Path, rows: Iterable[Row]) -> None:
    """Write one split; what stands at `path` is always a whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist([row.columns() for row in rows], schema=SCHEMA), part)
    part.replace(path)


def content_hash(rows: Sequence[Row]) -> str:
    """sha256 over the rows in the order of their ids: equal for equal content, whatever wrote the files."""
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.example.id):
        digest.update(json.dumps(row.columns(), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
