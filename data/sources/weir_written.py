"""Our own texts, written one by one: attacks in every costume, harmful posts and requests, harmless texts beside them.

A grammar's sentences are learned by heart, however many it can make; these have no common shape to learn. One file of
`data/written` is one subject, one line one text: `kind` (attack, harm, harmless), `family` (the technique, or the
look-alike), `text` and, of harm, `categories`. Neighbouring lines are often an attack and the harmless text that looks
most like it, so they stay on one side of a split.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from data.schema import Category, Example, Kind
from data.sources.registry import Part, registry
from data.sources.rows import example

SOURCE: Final = "weir_written"
TOGETHER: Final = 16  # lines
_KINDS: Final = {"harmless": Kind.BENIGN, "harm": Kind.HARM, "attack": Kind.INJECTION}


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  all of it is for training
    """Every line of every file; raises KeyError or ValueError where one is not of the form above."""
    for path in sorted((home or registry()[SOURCE].home or Path()).glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                group = f"{SOURCE}:{path.stem}:{number // TOGETHER}"
                yield replace(_example(json.loads(line), path.stem), group=group)


def _example(row: Mapping[str, Any], subject: str) -> Example:
    kind = _KINDS[row["kind"]]
    if kind is Kind.INJECTION and subject.startswith("roleplay"):
        kind = Kind.JAILBREAK
    return example(
        SOURCE,
        row["text"],
        kind,
        harm=frozenset(map(Category, row.get("categories", ()))),
        labels={"subject": subject, "family": row["family"]},
    )
