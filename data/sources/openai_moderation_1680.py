"""OpenAI's moderation evaluation set (Markov et al. 2023), without its rows about minors."""

from __future__ import annotations

from collections.abc import Iterator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, table

HOME = "https://raw.githubusercontent.com/openai/moderation-api-release/main/data/samples-1680.jsonl.gz"
CATEGORIES = {
    "S": Category.SEXUAL,
    "H": Category.HATE,
    "V": Category.VIOLENCE,
    "HR": Category.HARASSMENT,
    "SH": Category.SELF_HARM,
}
FLAGS = (*CATEGORIES, "S3", "H2", "V2")


def examples(part: Part, home: str = HOME) -> Iterator[Example]:  # noqa: ARG001  all of it is for evaluation
    """`prompt` and eight flags, of which a missing one was not judged."""
    for row in table(home, "json"):
        if row.get("S3"):
            continue
        flags = {flag: row[flag] for flag in FLAGS if row.get(flag) is not None}
        harm = frozenset(category for flag, category in CATEGORIES.items() if flags.get(flag))
        kind = Kind.HARM if any(flags.values()) else Kind.BENIGN
        yield example("openai_moderation_1680", row["prompt"], kind, harm=harm, eval_only=True, labels=flags)
