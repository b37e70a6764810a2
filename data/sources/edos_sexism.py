"""EDOS (Kirk et al. 2023): sexism in Reddit and Gab posts."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, table

HOME = "https://raw.githubusercontent.com/rewire-online/edos/main/data/edos_labelled_aggregated.csv"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:
    """`text`, `label_sexist`, `label_category`, `split`; the test split is for evaluation."""
    for row in table(home, "csv"):
        if (row["split"] == "test") != (part == "eval"):
            continue
        sexist = row["label_sexist"] == "sexist"
        yield example(
            "edos_sexism",
            row["text"],
            Kind.HARM if sexist else Kind.BENIGN,
            harm=frozenset({Category.HATE} if sexist else ()),
            split=row["split"],
            eval_only=part == "eval",
            labels={"category": row["label_category"]},
        )
