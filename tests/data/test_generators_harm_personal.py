"""Sexual, self-harm and violent texts with harmless twins: shares, forms, groups, lengths, variety."""

import statistics
from collections import Counter
from functools import partial

import pytest

from data.generators.harm_personal import FORMS, family
from data.generators.made import Made
from data.schema import Category, Direction, Kind
from tests.data.drawing import families_of

families = partial(families_of, family)


@pytest.fixture(scope="module")
def drawn() -> list[list[Made]]:
    return families(5, 3000)


@pytest.fixture(scope="module")
def made(drawn: list[list[Made]]) -> list[Made]:
    return [text for group in drawn for text in group]


def test_the_same_seed_gives_the_same_texts() -> None:
    assert families(9, 60) == families(9, 60)
    assert families(9, 60) != families(10, 60)


def test_a_twin_has_the_group_form_and_direction_of_its_harmful_text(drawn: list[list[Made]]) -> None:
    for group in drawn:
        harmful, *twins = group
        assert harmful.kind is Kind.HARM
        assert harmful.harm_categories
        for twin in twins:
            assert (twin.kind, twin.harm_categories) == (Kind.BENIGN, frozenset())
            assert (twin.group, twin.direction) == (harmful.group, harmful.direction)
            assert twin.labels["form"] == harmful.labels["form"]


def test_the_shares_are_as_planned(made: list[Made]) -> None:
    def share(category: Category) -> float:
        return sum(category in text.harm_categories for text in made) / len(made)

    assert share(Category.SEXUAL) == pytest.approx(0.24, abs=0.03)
    assert share(Category.SELF_HARM) == pytest.approx(0.16, abs=0.03)
    assert share(Category.VIOLENCE) == pytest.approx(0.16, abs=0.03)
    assert sum(text.kind is Kind.BENIGN for text in made) / len(made) == pytest.approx(0.44, abs=0.03)


def test_every_form_occurs_on_both_sides_and_a_model_says_some_of_them(made: list[Made]) -> None:
    seen = {(text.labels["form"], text.kind) for text in made}
    assert seen == {(form.name, kind) for form in FORMS for kind in (Kind.HARM, Kind.BENIGN)}
    answers = Counter(text.kind for text in made if text.direction is Direction.OUTPUT)
    assert min(answers[Kind.HARM], answers[Kind.BENIGN]) > 100


def test_there_are_many_groups_and_hardly_a_text_comes_twice(made: list[Made]) -> None:
    assert len({text.group for text in made}) >= 180
    assert len({text.text.lower() for text in made}) > 0.96 * len(made)


def test_length_and_opening_do_not_tell_the_sides_apart(made: list[Made]) -> None:
    def words(kind: Kind) -> list[int]:
        return [len(text.text.split()) for text in made if text.kind is kind]

    harmful, harmless = words(Kind.HARM), words(Kind.BENIGN)
    assert statistics.mean(harmful) == pytest.approx(statistics.mean(harmless), rel=0.12)
    assert min(harmful) >= 1
    assert max(harmful) <= 260
    assert all(text.text == text.text.strip() and "{" not in text.text for text in made)
