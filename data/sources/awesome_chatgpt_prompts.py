"""awesome-chatgpt-prompts: personas to assume, the harmless twins of jailbreaks."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, hub

HOME = "fka/awesome-chatgpt-prompts"


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`act` (who to be) and `prompt`."""
    for row in hub(home, "train"):
        yield example("awesome_chatgpt_prompts", row["prompt"], Kind.BENIGN, labels={"act": row["act"]})
