"""Requests of public corpora in our adversarial clothes: harmful ones, and harmless ones in the very same.

What our grammars can ask for is soon learned by heart, and then the clothes decide. Here the scenario comes from the
grammar (`data.generators.scenarios`) and the goal from somebody else; each scenario stands there with a goal of either
side. Requests and scenarios of one side of the split are never joined with those of the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from data.config import FramingConfig
from data.generators import scenarios
from data.generators.grammar import load_grammar
from data.generators.registry import split_of
from data.schema import Example, Kind, LicenceClass
from data.splits import Split

SOURCE: Final = "weir_framed"
_REQUEST: Final = (12, 220)  # characters of a request that can stand in a scenario
_LEADS: Final = (
    "¤", "¤", "¤", "¤", '"¤"', "My request: ¤", "The task: ¤", "Here is what I need: ¤", "Question: ¤", "So: ¤",
    "The first message reads: ¤", "This is the question that has to be answered: ¤", "Now the important part. ¤",
)  # fmt: skip


@dataclass(frozen=True)
class _Request:
    """What somebody asked for, as one line."""

    text: str
    example: Example


def frame(examples: Sequence[Example], config: FramingConfig, seed: int, side: Split) -> Iterator[Example]:
    """`config.count` texts, fewer if there are not enough requests; deterministic.

    Every harmful request is told once, and a harmless one in the same scenario. `examples` are the rows of `side`, and
    the scenarios are those of that side.
    """
    grammar = load_grammar()
    order = random.Random(f"{SOURCE}:{seed}:{side}")  # noqa: S311  # reproducible texts, not secrets
    harmful = _requests(examples, config.harmful, Kind.HARM, order)
    harmless = _requests(examples, config.harmless, Kind.BENIGN, order)
    made = 0
    for bad, good in zip(harmful, harmless, strict=False):
        rng = random.Random(f"{SOURCE}:{seed}:{bad.example.id}")  # noqa: S311
        scenario = scenarios.empty(grammar, rng)
        while split_of(scenario.group) != side:
            scenario = scenarios.empty(grammar, rng)
        lead = rng.choice(_LEADS)
        for one in (bad, good):
            if made == config.count:
                return
            yield Example(
                id=f"{SOURCE}-{one.example.id}",
                text=scenario.text.replace(scenarios.PLACE, lead.replace(scenarios.PLACE, one.text)),
                source=SOURCE,
                kind=Kind.JAILBREAK if one is bad else Kind.BENIGN,
                split=side,
                licence_class=LicenceClass.PERMISSIVE_UPSTREAM,
                group=f"{SOURCE}-{bad.example.id}",
                harm_categories=one.example.harm_categories,
                weak=one.example.weak,
                labels={**scenario.labels, "request": one.example.source},
            )
            made += 1


def _requests(examples: Sequence[Example], sources: Sequence[str], kind: Kind, order: random.Random) -> list[_Request]:
    shortest, longest = _REQUEST
    found = [
        _Request(" ".join(one.text.split()), one)
        for one in examples
        if one.source in sources and one.kind is kind and one.text.isascii() and shortest <= len(one.text) <= longest
    ]
    order.shuffle(found)
    return found
