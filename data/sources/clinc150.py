"""CLINC150 (Larson et al. 2019): short requests to an assistant, in and out of its scope."""

from __future__ import annotations

import json
from collections.abc import Iterator

import fsspec

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example

HOME = "https://raw.githubusercontent.com/clinc/oos-eval/master/data/data_full.json"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """One JSON object: split name -> list of [text, intent]."""
    with fsspec.open(home, "rt", encoding="utf-8") as file:
        splits = json.load(file)
    for split, rows in splits.items():
        for text, intent in rows:
            yield example("clinc150", text, Kind.BENIGN, split=split.removeprefix("oos_"), labels={"intent": intent})
