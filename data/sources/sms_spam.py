"""The SMS Spam Collection: short messages; spam's imperatives are benign to a language model."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "ucirvine/sms_spam"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`sms` and `label` (1: spam)."""
    for row in hub(home, "train"):
        yield example("sms_spam", row["sms"].strip(), Kind.BENIGN, labels={"spam": row["label"] == 1})
