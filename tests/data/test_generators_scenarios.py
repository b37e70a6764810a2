"""Scenarios: determinism, mixture, minimal pairs, groups, lengths and labels of harm."""

from collections import Counter
from functools import partial

import pytest

from data.generators.made import Made
from data.generators.scenarios import DEVICES, family
from data.schema import Category, Kind
from tests.data.drawing import families_of

drawn = partial(families_of, family)


@pytest.fixture(scope="module")
def families() -> list[list[Made]]:
    return drawn(5, 1200)


@pytest.fixture(scope="module")
def made(families: list[list[Made]]) -> list[Made]:
    return [one for group in families for one in group]


def test_the_same_seed_gives_the_same_families(families: list[list[Made]]) -> None:
    assert drawn(5, 40) == families[:40]


def test_every_device_occurs_and_58_percent_are_harmless(made: list[Made]) -> None:
    assert {one.labels["form"] for one in made} == set(DEVICES)
    assert {one.kind for one in made} == {Kind.JAILBREAK, Kind.BENIGN}
    assert 0.54 <= sum(one.kind is Kind.BENIGN for one in made) / len(made) <= 0.62


def test_half_of_the_draws_are_minimal_pairs(families: list[list[Made]]) -> None:
    pairs = [group for group in families if len(group) == 2]
    assert 0.44 <= len(pairs) / len(families) <= 0.56
    for attack, twin in pairs:
        assert (attack.kind, twin.kind) == (Kind.JAILBREAK, Kind.BENIGN)
        assert attack.group == twin.group
        assert attack.labels["style"] == twin.labels["style"]
        assert attack.labels["form"] == twin.labels["form"]


def test_harmful_goals_name_their_category_and_all_occur(made: list[Made]) -> None:
    named = Counter(category for one in made for category in one.harm_categories)
    assert set(named) == set(Category) - {Category.INJECTION}
    assert not any(one.harm_categories for one in made if one.kind is Kind.BENIGN)
    harmful = [one for one in made if one.kind is Kind.JAILBREAK]
    assert all((one.labels["intent"] == "other") == (not one.harm_categories) for one in harmful)


def test_no_mark_or_slot_is_left(made: list[Made]) -> None:
    for one in made:
        assert not any(mark in one.text for mark in ("§", "¤", "sn_", "rp2_", "#1}")), one.text


def test_texts_are_distinct_and_groups_many(made: list[Made]) -> None:
    assert len({one.text for one in made}) >= 0.99 * len(made)
    assert len({one.group for one in made}) >= 120


def test_both_sides_are_long_and_as_long(made: list[Made]) -> None:
    means = {}
    for kind in (Kind.JAILBREAK, Kind.BENIGN):
        words = [len(one.text.split()) for one in made if one.kind is kind]
        assert min(words) >= 30
        assert max(words) <= 460
        means[kind] = sum(words) / len(words)
    assert abs(means[Kind.JAILBREAK] - means[Kind.BENIGN]) < 12
