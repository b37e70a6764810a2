"""Everyday harm: determinism, forms on both sides, shares, pairs, variety and clean texts."""

import re
import statistics
from collections import Counter
from functools import partial

import pytest

from data.generators.harm_everyday import family
from data.generators.made import Made
from data.schema import Category, Direction, Kind
from tests.data.drawing import families_of

OUTPUTS = {"complied", "helped", "refused"}
BOTH_SIDES = {"post", "deed", "deed_long", "order", "order_long", "question", "group"}


families = partial(families_of, family)


@pytest.fixture(scope="module")
def drawn() -> list[list[Made]]:
    return families(11, 3000)


@pytest.fixture(scope="module")
def made(drawn: list[list[Made]]) -> list[Made]:
    return [text for members in drawn for text in members]


def test_the_same_seed_gives_the_same_texts() -> None:
    assert families(2, 80) == families(2, 80)
    assert families(2, 80) != families(3, 80)


def test_a_family_shares_its_group_and_has_at_most_one_harmful_text(drawn: list[list[Made]]) -> None:
    for members in drawn:
        assert len({text.group for text in members}) == 1
        assert sum(text.kind is Kind.HARM for text in members) <= 1
        assert len({text.direction for text in members}) == 1
        assert all((text.kind is Kind.HARM) == bool(text.harm_categories) for text in members)


def test_every_form_occurs_and_the_shares_are_as_planned(made: list[Made]) -> None:
    seen = {(text.labels["form"], text.kind) for text in made}
    both = {(form, kind) for form in BOTH_SIDES for kind in (Kind.HARM, Kind.BENIGN)}
    assert seen == both | {("complied", Kind.HARM), ("helped", Kind.BENIGN), ("refused", Kind.BENIGN)}
    assert sum(text.kind is Kind.BENIGN for text in made) / len(made) == pytest.approx(0.56, abs=0.03)
    shares = Counter(category for text in made for category in text.harm_categories)
    assert set(shares) == {category for category in Category if category is not Category.INJECTION}
    assert min(shares.values()) > 0.03 * len(made)


def test_a_threat_to_a_group_is_hate_and_violence(made: list[Made]) -> None:
    several = {text.harm_categories for text in made if len(text.harm_categories) > 1}
    assert frozenset({Category.HATE, Category.VIOLENCE}) in several
    assert frozenset({Category.HARASSMENT, Category.ILLICIT}) in several


def test_only_answers_travel_outwards(made: list[Made]) -> None:
    assert all((text.direction is Direction.OUTPUT) == (text.labels["form"] in OUTPUTS) for text in made)


def test_texts_hardly_repeat_and_groups_are_many(made: list[Made]) -> None:
    assert len({text.text.lower() for text in made}) > 0.96 * len(made)
    assert len({text.group for text in made}) >= 250


def test_no_markup_is_left_and_lengths_agree(made: list[Made]) -> None:
    assert not [text.text for text in made if re.search(r"he_|[{}§|~]|^\s*$", text.text)]
    lengths = [[len(text.text.split()) for text in made if text.kind is kind] for kind in (Kind.HARM, Kind.BENIGN)]
    assert statistics.mean(lengths[0]) == pytest.approx(statistics.mean(lengths[1]), rel=0.15)
    assert max(max(side) for side in lengths) <= 260
