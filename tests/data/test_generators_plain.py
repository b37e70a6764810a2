"""Plainly worded attacks: determinism, mixture, twins, groups and how little texts repeat."""

from collections import defaultdict
from functools import partial

import pytest

from data.generators.made import Made
from data.generators.plain import family
from data.schema import Kind
from tests.data.drawing import families_of

FORMS = {
    "reveal", "endfake", "authority", "pressure", "game", "only", "switch", "hypo", "german", "spanish", "persona",
    "order", "people", "clean", "task", "question", "task_alone", "user_order", "system",
}  # fmt: skip


drawn = partial(families_of, family)


@pytest.fixture(scope="module")
def families() -> list[list[Made]]:
    return drawn(3, 1500)


def test_the_same_seed_gives_the_same_families(families: list[list[Made]]) -> None:
    assert drawn(3, 50) == families[:50]


def test_every_form_occurs_and_about_55_percent_are_harmless(families: list[list[Made]]) -> None:
    made = [one for group in families for one in group]
    assert {one.labels["form"] for one in made} == FORMS
    assert 0.53 <= sum(one.kind is Kind.BENIGN for one in made) / len(made) <= 0.62


def test_an_attack_comes_first_and_its_twins_are_harmless_and_of_its_group(families: list[list[Made]]) -> None:
    for attack, *twins in families:
        assert (attack.kind is Kind.BENIGN) == (not twins)
        assert all(twin.kind is Kind.BENIGN and twin.group == attack.group for twin in twins)


def test_intent_is_told_of_attacks_only(families: list[list[Made]]) -> None:
    for one in (made for group in families for made in group):
        assert (one.labels["intent"] == "none") == (one.kind is Kind.BENIGN)


def test_a_clean_document_is_the_poisoned_one_without_the_order(families: list[list[Made]]) -> None:
    pairs = [(group[0], twin) for group in families for twin in group[1:] if twin.labels["form"] == "clean"]
    assert len(pairs) > 100
    assert all(len(clean.text) < len(attack.text) for attack, clean in pairs)


def test_no_mark_or_slot_is_left(families: list[list[Made]]) -> None:
    for one in (made for group in families for made in group):
        assert not any(mark in one.text for mark in ("§", "pl_", "#1}", "⟨", "¦")), one.text


def test_texts_are_distinct_and_groups_many(families: list[list[Made]]) -> None:
    texts = [one.text for group in families for one in group]
    assert len(set(texts)) >= 0.98 * len(texts)
    assert len({one.group for group in families for one in group}) >= 150


def test_announcements_and_courtesies_stand_on_both_sides(families: list[list[Made]]) -> None:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in (made for group in families for made in group):
        for words in ("Please", "mportant", "From now on", "password", "Hypothetically", "developer", "transfer"):
            counts[words][one.kind is Kind.BENIGN] += words in one.text
    for words, count in counts.items():
        assert min(count) > 0.2 * sum(count), (words, count)


def test_only_jailbreaks_name_harms_and_some_do(families: list[list[Made]]) -> None:
    harmful = [one for group in families for one in group if one.harm_categories]
    assert len(harmful) > 30
    assert all(one.kind is Kind.JAILBREAK for one in harmful)
