"""Rows on disk -> Examples: the column format that the mirror, our samples and the build's own cache share.

Columns: id, text, source, split, kind, harm_categories, role (input | output), weak, eval_only,
licence_class, labels (the source's own fields as JSON) and, in files of ours, group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import Category, Direction, Example, Kind, LicenceClass

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("kind", pa.string()),
        ("harm_categories", pa.list_(pa.string())),
        ("role", pa.string()),
        ("weak", pa.bool_()),
        ("eval_only", pa.bool_()),
        ("licence_class", pa.string()),
        ("labels", pa.string()),
        ("group", pa.string()),
    ]
)


def read_rows(path: Path) -> Iterator[Example]:
    """Examples of one parquet or jsonl file, in file order."""
    return (_example(row) for row in _raw(path))


def write_rows(path: Path, examples: Iterable[Example]) -> None:
    """Write a parquet file of rows; what stands at `path` is always a whole file or nothing."""
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([_row(example) for example in examples], schema=SCHEMA), part)
    part.replace(path)


def _raw(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=2048):
            yield from batch.to_pylist()


def _example(row: Mapping[str, Any]) -> Example:
    labels = row.get("labels") or {}
    return Example(
        id=row["id"],
        text=row["text"],
        source=row["source"],
        kind=Kind(row["kind"]),
        harm_categories=frozenset(Category(name) for name in row.get("harm_categories") or ()),
        direction=Direction(row.get("role") or "input"),
        split=row.get("split"),
        weak=bool(row.get("weak")),
        eval_only=bool(row.get("eval_only")),
        licence_class=LicenceClass(row["licence_class"]),
        group=row.get("group"),
        labels=json.loads(labels) if isinstance(labels, str) else labels,
    )


def _row(example: Example) -> dict[str, Any]:
    return {
        "id": example.id,
        "text": example.text,
        "source": example.source,
        "split": example.split,
        "kind": example.kind.value,
        "harm_categories": sorted(category.value for category in example.harm_categories),
        "role": example.direction.value,
        "weak": example.weak,
        "eval_only": example.eval_only,
        "licence_class": example.licence_class.value,
        "labels": json.dumps(dict(example.labels), ensure_ascii=False, sort_keys=True),
        "group": example.group,
    }
