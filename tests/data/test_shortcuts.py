"""What carrier, length and single words give away about the label of generated texts."""

from dataclasses import replace

import pytest

from data.generators import generate
from data.generators.audit import audit, in_first_half, lopsided
from data.schema import Example, Kind


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(generate("generated", 21, 9000))


def test_carrier_and_length_say_next_to_nothing_and_words_do_not_settle_it(examples: list[Example]) -> None:
    figures = audit(examples)
    assert figures.carrier is not None
    assert figures.words_in_carriers is not None
    assert figures.carrier <= 0.6
    assert figures.length <= 0.6
    assert figures.words_in_carriers <= 0.86
    assert figures.words <= 0.87


@pytest.mark.parametrize(
    "name",
    ["direct", "roleplays", "tool_results", "multilingual", "plain", "harm_personal", "harm_social", "harm_everyday"],
)
def test_length_gives_no_label_of_the_other_generators_away(name: str) -> None:
    figures = audit(list(generate(name, 21, 3000)))
    assert figures.length <= 0.66
    assert figures.words <= 0.95


def test_the_audit_finds_a_planted_length_and_word_shortcut(examples: list[Example]) -> None:
    rigged = [
        replace(example, text=example.text + " zebra" * 80) if example.kind is not Kind.BENIGN else example
        for example in examples[:3000]
    ]
    figures = audit(rigged)
    assert figures.length > 0.8
    assert figures.words > 0.99
    assert lopsided(rigged, 1, 1)[0].text == "zebra"


def test_the_two_halves_share_no_group(examples: list[Example]) -> None:
    first = {example.group for example in examples if in_first_half(str(example.group))}
    second = {example.group for example in examples if not in_first_half(str(example.group))}
    assert first
    assert second
    assert not first & second
