"""What a generator makes: one labelled text that has no id yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from data.generators.grammar import Grammar
from data.schema import Category, Direction, Kind


@dataclass(frozen=True)
class Made:
    """A text before it gets its id. Texts of one `group` (a template, a carrier and its twins) stay on one side."""

    text: str
    kind: Kind
    group: str
    labels: Mapping[str, str]
    harm_categories: frozenset[Category] = frozenset()
    direction: Direction = Direction.INPUT


# One text, or an attack with its harmless twins.
Family = Callable[[Grammar, Random], list[Made]]
