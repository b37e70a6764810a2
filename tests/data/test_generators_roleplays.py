"""Role-plays: determinism, mixture, twins, groups and how little texts repeat."""

from collections import Counter, defaultdict
from functools import partial

import pytest

from data.generators.made import Made
from data.generators.roleplays import family
from data.schema import Kind
from tests.data.drawing import families_of

FORMS = {"wrap", "casual", "persona", "pro", "format", "aware", "ok_frame", "act"}


drawn = partial(families_of, family)


@pytest.fixture(scope="module")
def families() -> list[list[Made]]:
    return drawn(3, 1500)


def test_the_same_seed_gives_the_same_families(families: list[list[Made]]) -> None:
    assert drawn(3, 50) == families[:50]


def test_every_form_occurs_and_about_45_percent_are_attacks(families: list[list[Made]]) -> None:
    made = [one for group in families for one in group]
    assert {one.labels["form"] for one in made} == FORMS
    attacks = sum(one.kind is Kind.JAILBREAK for one in made)
    assert 0.42 <= attacks / len(made) <= 0.48
    assert {one.kind for one in made} == {Kind.JAILBREAK, Kind.BENIGN}


def test_an_attack_has_a_twin_in_its_group_and_its_style(families: list[list[Made]]) -> None:
    for one in families:
        if len(one) == 1:
            assert one[0].kind is Kind.BENIGN
            continue
        attack, twin = one
        assert (attack.kind, twin.kind) == (Kind.JAILBREAK, Kind.BENIGN)
        assert attack.group == twin.group
        assert attack.labels["style"] == twin.labels["style"]
        assert (attack.labels["intent"] == "none", twin.labels["intent"]) == (False, "none")


def test_no_mark_or_slot_is_left(families: list[list[Made]]) -> None:
    for one in (made for group in families for made in group):
        assert not any(mark in one.text for mark in ("§", "¤", "rp2_", "#1}", "{%")), one.text


def test_texts_are_distinct_and_groups_many(families: list[list[Made]]) -> None:
    texts = [one.text for group in families for one in group]
    assert len(set(texts)) >= 0.99 * len(texts)
    assert len({one.group for group in families for one in group}) >= 100


def test_attacks_and_twins_are_as_long(families: list[list[Made]]) -> None:
    lengths = defaultdict(list)
    for one in (made for group in families for made in group):
        lengths[one.kind].append(len(one.text.split()))
    means = {kind: sum(words) / len(words) for kind, words in lengths.items()}
    assert abs(means[Kind.JAILBREAK] - means[Kind.BENIGN]) < 12
    assert min(min(words) for words in lengths.values()) >= 8
    assert all(sum(n > 150 for n in words) > 0.04 * len(words) for words in lengths.values())


def test_constraints_stand_on_both_sides(families: list[list[Made]]) -> None:
    counts: dict[str, Counter[Kind]] = defaultdict(Counter)
    for one in (made for group in families for made in group):
        for words in ("in character", "disclaimer", "an AI", "sorry", "Sure", "mode", "twin", "JSON"):
            if words in one.text:
                counts[words][one.kind] += 1
    for words, count in counts.items():
        assert min(count[Kind.JAILBREAK], count[Kind.BENIGN]) > 0.2 * sum(count.values()), (words, count)
