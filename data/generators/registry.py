"""The generators by name, and the examples drawn from one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Final

from data.generators import (
    compose,
    direct,
    harm_everyday,
    harm_personal,
    harm_social,
    multilingual,
    plain,
    roleplays,
    scenarios,
    tool_results,
)
from data.generators.grammar import load_grammar
from data.generators.made import Family, Made
from data.schema import Example, LicenceClass
from data.splits import Split

GENERATORS: Final[Mapping[str, Family]] = {
    "generated": compose.family,
    "direct": direct.family,
    "roleplays": roleplays.family,
    "scenarios": scenarios.family,
    "tool_results": tool_results.family,
    "multilingual": multilingual.family,
    "harm_everyday": harm_everyday.family,
    "harm_personal": harm_personal.family,
    "harm_social": harm_social.family,
    "plain": plain.family,
}
_VALIDATION_SHARE: Final = 10  # percent of the groups
_PATIENCE: Final = 200  # families in a row that bring nothing new: the grammar is used up


def source_of(name: str) -> str:
    """The source that a generator's examples name."""
    return f"weir_{name}"


def generate(name: str, seed: int, count: int) -> Iterator[Example]:
    """`count` examples of one generator, no two alike, the same for the same seed.

    A shorter run is the beginning of a longer one. Examples of one group share a template or a carrier, and stand
    on one side of the split; an attack and its twins share the label `family`. Raises KeyError for an unknown name.
    """
    grammar, draw, source = load_grammar(), GENERATORS[name], source_of(name)
    made = family = idle = 0
    seen: set[str] = set()
    while made < count and idle < _PATIENCE:
        rng = random.Random(f"{source}:{seed}:{family}")  # noqa: S311  # reproducible texts, not secrets
        idle += 1
        for item in draw(grammar, rng):
            if made == count:
                return
            if item.text in seen:
                continue
            seen.add(item.text)
            yield _example(item, source, f"{source}-{seed}-{made:06d}", f"{seed}-{family}")
            made, idle = made + 1, 0
        family += 1


def split_of(group: str) -> Split:
    """`train` or `validation`, by a hash of the group's name: every seed agrees."""
    digest = hashlib.sha256(group.encode()).digest()
    return "validation" if int.from_bytes(digest[:4], "big") % 100 < _VALIDATION_SHARE else "train"


def _example(item: Made, source: str, name: str, family: str) -> Example:
    return Example(
        id=name,
        text=item.text,
        source=source,
        kind=item.kind,
        harm_categories=item.harm_categories,
        direction=item.direction,
        split=split_of(item.group),
        licence_class=LicenceClass.PERMISSIVE,
        group=item.group,
        labels={**item.labels, "family": family},
    )
