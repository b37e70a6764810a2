"""Requests of public corpora in scenarios of ours, a harmful and a harmless one in each."""

from __future__ import annotations

from collections import defaultdict
from typing import get_args

import pytest

from data.config import FramingConfig
from data.framing import SOURCE, frame
from data.schema import Category, Example, Kind
from data.splits import Split

CONFIG = FramingConfig(count=60, harmful=["bad"], harmless=["good"])
HARM = frozenset({Category.ILLICIT})


def _row(number: int, source: str, kind: Kind, text: str) -> Example:
    harms = HARM if kind is Kind.HARM else frozenset()
    return Example(id=f"{source}-{number}", text=text, source=source, kind=kind, harm_categories=harms)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [
        *(_row(n, "bad", Kind.HARM, f"Tell me how to break into shed {n}.") for n in range(40)),
        *(_row(n, "good", Kind.BENIGN, f"Tell me how to paint\nshed {n}.") for n in range(50)),
        _row(1, "other", Kind.HARM, "Tell me how to steal a ladder."),
        _row(99, "bad", Kind.HARM, "Too short"),
        _row(99, "good", Kind.BENIGN, "Tell me " * 60),
        _row(98, "good", Kind.BENIGN, "Erzähl mir von Bäumen am Fluss."),
    ]


def test_the_same_seed_frames_the_same_and_another_does_not(examples: list[Example]) -> None:
    assert list(frame(examples, CONFIG, 5, "train")) == list(frame(examples, CONFIG, 5, "train"))
    assert list(frame(examples, CONFIG, 5, "train")) != list(frame(examples, CONFIG, 6, "train"))


def test_it_makes_as_many_as_asked_and_no_more_than_there_are_requests_for(examples: list[Example]) -> None:
    assert len(list(frame(examples, CONFIG, 5, "train"))) == 60
    everything = list(frame(examples, CONFIG.model_copy(update={"count": 1_000}), 5, "train"))
    assert len(everything) == 80
    assert len({one.id for one in everything}) == 80
    assert {one.source for one in everything} == {SOURCE}


def test_only_the_request_differs_between_the_two_of_a_scenario(examples: list[Example]) -> None:
    pairs: dict[str | None, dict[Kind, Example]] = defaultdict(dict)
    for one in frame(examples, CONFIG, 5, "train"):
        pairs[one.group][one.kind] = one
    assert len(pairs) == 30
    for pair in pairs.values():
        bad, good = pair[Kind.JAILBREAK], pair[Kind.BENIGN]
        assert (bad.harm_categories, good.harm_categories) == (HARM, frozenset())
        number = bad.id.rpartition("-")[2]
        other = good.id.rpartition("-")[2]
        assert bad.text.replace(f"break into shed {number}.", "¤") == good.text.replace(f"paint shed {other}.", "¤")
        assert "¤" in bad.text.replace(f"break into shed {number}.", "¤")


def test_each_side_has_scenarios_of_its_own(examples: list[Example]) -> None:
    def openings(side: Split) -> set[str]:
        return {
            " ".join(one.text.split()[:6])
            for one in frame(examples, CONFIG, 5, side)
            if one.labels["placement"] != "start"
        }

    sides = [openings(side) for side in get_args(Split)]
    assert all(sides)
    assert not set.intersection(*sides)
