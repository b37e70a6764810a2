"""HateCheck (Röttger et al. 2021): short functional tests of what counts as hate and what only looks like it."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, table

HOME = "https://raw.githubusercontent.com/paul-rottger/hatecheck-data/main/test_suite_cases.csv"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  all of it is for evaluation
    """`test_case`, `label_gold` (hateful | non-hateful), `functionality`, `target_ident`."""
    for row in table(home, "csv"):
        hateful = row["label_gold"] == "hateful"
        yield example(
            "hatecheck",
            row["test_case"],
            Kind.HARM if hateful else Kind.BENIGN,
            harm=frozenset({Category.HATE} if hateful else ()),
            split="test",
            eval_only=True,
            labels={"functionality": row["functionality"], "target": row["target_ident"]},
        )
