"""ParaDetox (Logacheva et al. 2022): toxic sentences and their civil paraphrases."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "s-nlp/paradetox"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`en_toxic_comment` is harassment, `en_neutral_comment` is not."""
    for row in hub(home, "train"):
        toxic, civil = row["en_toxic_comment"], row["en_neutral_comment"]
        yield example("paradetox", toxic, Kind.HARM, harm=frozenset({Category.HARASSMENT}))
        yield example("paradetox", civil, Kind.BENIGN)
