"""Our own texts, written one by one: attacks in every costume, harmful posts and requests, harmless texts beside them.

A grammar's sentences are learned by heart, however many it can make; these have no common shape to learn. One file of
`data/written` is one subject, one line one text: `kind` (attack, harm, harmless), `family` (the technique, or the
look-alike), `text` and, of harm, `categories`. Attacks in files named roleplay… are jailbreaks, all others injections.
Harmless lines often look like the attack above them, so some lines at a time stay on one side of a split, and none is
cut off from the attack above it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.schema import Category, Example, Kind
from data.sources.registry import Part
from data.sources.rows import example

SOURCE: Final = "weir_written"
TOGETHER: Final = 16  # lines at least


class Line(BaseModel):
    """One line of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["attack", "harm", "harmless"]
    family: str = Field(min_length=1)
    text: str = Field(min_length=1)
    categories: frozenset[Category] = frozenset()

    @model_validator(mode="after")
    def _harm_alone_has_categories(self) -> Line:
        if (self.kind == "harm") != bool(self.categories):
            raise ValueError("categories belong to harm, and harm has some")
        return self


def examples(part: Part, home: Path) -> Iterator[Example]:  # noqa: ARG001  all of it is for training
    """Every line of every file in the folder; raises ValueError, with file and line, for a line of another form."""
    paths = sorted(home.glob("*.jsonl"))
    if not paths:
        raise ValueError(f"{home} holds no texts")
    for path in paths:
        block = since = 0
        with path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                try:
                    line = Line.model_validate(json.loads(text))
                except (ValidationError, json.JSONDecodeError) as error:
                    raise ValueError(f"{path.name}, line {number}: not of the form of {SOURCE}") from error
                if since >= TOGETHER and line.kind != "harmless":
                    block, since = block + 1, 0
                since += 1
                yield replace(_example(line, path.stem), group=f"{SOURCE}:{path.stem}:{block}")


def _example(line: Line, subject: str) -> Example:
    attack = Kind.JAILBREAK if subject.startswith("roleplay") else Kind.INJECTION
    kind = {"attack": attack, "harm": Kind.HARM, "harmless": Kind.BENIGN}[line.kind]
    labels = {"subject": subject, "family": line.family}
    return example(SOURCE, line.text, kind, harm=line.categories, labels=labels)
