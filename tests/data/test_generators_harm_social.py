"""Hate, harassment and illicit requests: determinism, mixture, shared groups and clean texts."""

import re
from collections import Counter, defaultdict
from functools import partial

import pytest

from data.generators.harm_social import family
from data.generators.made import Made
from data.schema import Category, Direction, Kind
from tests.data.drawing import families_of

OUTPUTS = {"complied", "refused", "helped", "hate_written", "hate_declined", "praise_written"}
FORMS = OUTPUTS | {
    "hate", "hate_implied", "hate_to_the_face", "others_abused", "kind_words", "denounced", "group_praised",
    "hate_lookalike", "insult", "insult_quoted", "bullying", "harassment_lookalike", "crime_asked",
    "crime_discussed", "safe_deed_asked", "crime_ordered", "safe_order", "illicit_lookalike",
}  # fmt: skip


families = partial(families_of, family)


@pytest.fixture(scope="module")
def drawn() -> list[list[Made]]:
    return families(3, 3000)


@pytest.fixture(scope="module")
def texts(drawn: list[list[Made]]) -> list[Made]:
    return [made for members in drawn for made in members]


def test_the_same_seed_gives_the_same_texts() -> None:
    assert families(5, 100) == families(5, 100)
    assert families(5, 100) != families(6, 100)


def test_every_form_occurs_and_the_mixture_is_as_announced(texts: list[Made]) -> None:
    assert {made.labels["form"] for made in texts} == FORMS
    shares = Counter(made.labels["intent"] for made in texts)
    assert 0.18 < shares["hate"] / len(texts) < 0.26
    assert 0.10 < shares["harassment"] / len(texts) < 0.18
    assert 0.16 < shares["illicit"] / len(texts) < 0.24
    assert 0.40 < shares["none"] / len(texts) < 0.48


def test_twins_share_a_group_and_groups_are_many(drawn: list[list[Made]], texts: list[Made]) -> None:
    assert all(len({made.group for made in members}) == 1 for members in drawn)
    assert any(len({made.kind for made in members}) == 2 for members in drawn)
    assert len({made.group for made in texts}) >= 200


def test_kind_categories_and_intent_agree(texts: list[Made]) -> None:
    for made in texts:
        assert (made.kind is Kind.HARM) == bool(made.harm_categories) == (made.labels["intent"] != "none")
        assert made.harm_categories <= {Category.HATE, Category.HARASSMENT, Category.ILLICIT}


def test_only_answers_travel_outwards_and_both_kinds_of_answer_occur(texts: list[Made]) -> None:
    answers = [made for made in texts if made.direction is Direction.OUTPUT]
    assert {made.labels["form"] for made in answers} == OUTPUTS
    assert all(made.labels["form"] not in OUTPUTS for made in texts if made not in answers)


def test_texts_hardly_repeat_and_no_markup_is_left_in_them(texts: list[Made]) -> None:
    assert len({made.text.lower() for made in texts}) > 0.97 * len(texts)
    assert not [made.text for made in texts if re.search(r"hs_|[{}§¤^|]| => |^\s*$", made.text)]
    assert max(len(made.text.split()) for made in texts) <= 170


def test_harmful_and_harmless_texts_are_of_like_length(texts: list[Made]) -> None:
    lengths = defaultdict(list)
    for made in texts:
        lengths[made.kind].append(len(made.text.split()))
    medians = [sorted(values)[len(values) // 2] for values in lengths.values()]
    assert max(medians) < 1.5 * min(medians)
