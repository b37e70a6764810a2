"""Texts in many languages: determinism, forms, twins, balance, distinctness."""

import random
from collections import defaultdict
from functools import partial

import pytest

from data.generators.grammar import load_grammar
from data.generators.made import Made
from data.generators.multilingual import family, languages
from data.schema import Kind
from tests.data.drawing import families_of

SHAPES = {"request", "trigger", "request_and_trigger", "document", "two_languages", "lead", "in_document",
          "english_attack", "english_document", "plain", "half_english"}  # fmt: skip
NON_LATIN = {"zh", "ja", "ko", "th", "hi", "bn", "ar", "fa", "he", "ru", "uk", "el"}


drawn = partial(families_of, family)


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return [text for texts in drawn(5, 2500) for text in texts]


def test_the_same_seed_gives_the_same_texts() -> None:
    assert drawn(1, 60) == drawn(1, 60)
    assert drawn(1, 60) != drawn(2, 60)


def test_every_language_has_every_rule() -> None:
    rules = load_grammar().rules
    for language in languages(load_grammar()):
        for rule in "btsaog":
            assert len(rules[f"ml_{language}_{rule}"]) >= 3, f"{language}_{rule}"


def test_every_template_expands_and_leaves_no_brace() -> None:
    grammar = load_grammar()
    for name, alternatives in grammar.rules.items():
        if name.startswith("ml_"):
            for alternative in alternatives:
                assert not set("{|}") & set(grammar.expand(alternative, random.Random(0))), alternative


def test_every_shape_and_language_occurs(made: list[Made]) -> None:
    assert {text.labels["shape"] for text in made} == SHAPES | {"two_languages"}
    assert {text.labels["language"] for text in made} == set(languages(load_grammar()))


def test_about_60_percent_is_harmless_in_latin_and_in_other_scripts(made: list[Made]) -> None:
    for other_script in (True, False):
        rows = [text for text in made if (text.labels["language"] in NON_LATIN) == other_script]
        assert 0.54 <= sum(text.kind is Kind.BENIGN for text in rows) / len(rows) <= 0.67


def test_an_attack_and_its_twin_share_their_group() -> None:
    pairs = [texts for texts in drawn(3, 400) if len(texts) == 2]
    assert len(pairs) > 100
    for attack, twin in pairs:
        assert attack.kind is not Kind.BENIGN
        assert twin.kind is Kind.BENIGN
        assert attack.group == twin.group
        assert attack.text != twin.text


def test_texts_are_distinct_and_groups_are_many(made: list[Made]) -> None:
    assert len({text.text for text in made}) >= 0.97 * len(made)
    assert len({text.group for text in made}) >= 400


def test_no_label_follows_from_one_kind_of_carelessness(made: list[Made]) -> None:
    attacks: dict[str, list[bool]] = defaultdict(list)
    for text in made:
        attacks[text.labels["style"]].append(text.kind is not Kind.BENIGN)
    for style, values in attacks.items():
        assert 0.2 <= sum(values) / len(values) <= 0.6, style
