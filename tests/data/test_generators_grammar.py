"""The template expander."""

import random

import pytest

from data.generators.grammar import Grammar, GrammarError, capitalised, load_grammar, parse, uncapitalised


def grammar(**rules: list[str]) -> Grammar:
    return Grammar({name: tuple(alternatives) for name, alternatives in rules.items()})


def test_a_slot_becomes_one_alternative_of_its_rule() -> None:
    texts = {grammar(pet=["cat", "dog"]).expand("a {pet}", random.Random(seed)) for seed in range(20)}
    assert texts == {"a cat", "a dog"}


def test_inline_choices_nest_and_may_be_empty_without_leaving_gaps() -> None:
    texts = {grammar().expand("go {very {far|near} |}away{ now|}.", random.Random(seed)) for seed in range(60)}
    assert texts == {
        "go away.", "go away now.", "go very far away.", "go very far away now.", "go very near away.",
        "go very near away now.",
    }  # fmt: skip


def test_a_bound_slot_keeps_its_value_through_all_templates_that_share_the_mapping() -> None:
    names = grammar(name=[f"n{number}" for number in range(50)])
    bound: dict[str, str] = {}
    rng = random.Random(1)
    first, second = names.expand("{name#sender}", rng, bound), names.expand("{name#sender} {name#sender}", rng, bound)
    assert second == f"{first} {first}"


def test_numbers_capitals_and_literal_braces() -> None:
    text = grammar(word=["end"]).expand("{^word} {n:3-3} {digits:4} {hex:6} ⟨x¦y⟩", random.Random(2))
    capital, number, digits, hexadecimal, literal = text.split(" ")
    assert (capital, number, literal) == ("End", "3", "{x|y}")
    assert digits.isdigit()
    assert len(digits) == 4
    assert int(hexadecimal, 16) >= 0


@pytest.mark.parametrize("template", ["{missing}", "{nonsense:4}"])
def test_an_unknown_slot_is_named_in_the_error(template: str) -> None:
    with pytest.raises(GrammarError, match=template.strip("{}")):
        grammar().expand(template, random.Random(0))


def test_a_template_that_contains_itself_is_refused() -> None:
    with pytest.raises(GrammarError, match="never ends"):
        grammar(loop=["{loop}"]).draw("loop", random.Random(0))


def test_a_file_holds_rules_word_lists_and_comments() -> None:
    rules = parse(["# a comment", "@line", "one\\ntwo", "", "@words;", "red; green;", "blue"], "x.grammar")
    assert rules == {"line": ["one\ntwo"], "words": ["red", "green", "blue"]}


@pytest.mark.parametrize(
    ("lines", "reason"), [(["text"], "before the first rule"), (["@empty"], "without alternatives")]
)
def test_a_malformed_file_is_refused_with_the_reason(lines: list[str], reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        parse(lines, "x.grammar")


def test_every_alternative_of_every_shipped_rule_expands() -> None:
    shipped = load_grammar()
    for rule, alternatives in shipped.rules.items():
        for template in alternatives:
            for seed in range(3):
                assert shipped.expand(template, random.Random(seed)), (rule, template)


def test_capitals_of_acronyms_and_of_the_word_i_stay() -> None:
    assert [uncapitalised(text) for text in ("Send it", "AI model", "I know", "I'm")] == [
        "send it",
        "AI model",
        "I know",
        "I'm",
    ]
    assert capitalised("über") == "Über"


def test_articles_follow_the_word_that_was_drawn_and_addresses_are_lower_case() -> None:
    text = grammar().expand("an model, a AI, an user, a open door to a anna@X.example", random.Random(0))
    assert text == "a model, an AI, a user, an open door to a anna@x.example"
