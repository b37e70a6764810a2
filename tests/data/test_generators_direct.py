"""Short direct injections and their harmless look-alikes: determinism, forms, twins, balance, distinctness."""

import random
import re
import statistics
from collections import Counter, defaultdict

import pytest

from data.generators.direct import chatty, family
from data.generators.grammar import load_grammar
from data.generators.made import Made
from data.schema import Kind

TRIGGERS = (
    "ignore", "forget", "disregard", "override", "bypass", "system", "prompt", "instructions", "previous", "above",
    "reveal", "secret", "password", "hidden", "admin", "root", "pretend", "act as", "role", "unlock", "print", "output",
    "repeat", "translate", "new task", "rules", "confidential", "token", "sudo", "debug", "filter", "policy", "stop",
)  # fmt: skip


def draw(seed: int, families: int) -> list[Made]:
    rng, grammar = random.Random(seed), load_grammar()
    return [made for _ in range(families) for made in family(grammar, rng)]


@pytest.fixture(scope="module")
def drawn() -> list[Made]:
    return draw(3, 4000)


def test_the_same_seed_gives_the_same_texts() -> None:
    assert draw(8, 50) == draw(8, 50)
    assert draw(8, 50) != draw(9, 50)


def test_about_45_percent_are_attacks_and_nothing_is_called_harmful(drawn: list[Made]) -> None:
    share = sum(made.kind is Kind.INJECTION for made in drawn) / len(drawn)
    assert 0.41 < share < 0.49
    assert {made.kind for made in drawn} == {Kind.INJECTION, Kind.BENIGN}
    assert not any(made.harm_categories for made in drawn)


def test_every_intent_and_placement_occurs_in_many_groups(drawn: list[Made]) -> None:
    forms = Counter(made.labels["form"] for made in drawn)
    assert len(forms) == 31
    assert min(forms.values()) >= 25
    assert {made.labels["placement"] for made in drawn} == {"alone", "end", "start", "middle"}
    assert len({made.group for made in drawn}) > 460


def test_twins_share_group_style_and_opening_word() -> None:
    rng, grammar = random.Random(5), load_grammar()
    pairs = [made for made in (family(grammar, rng) for _ in range(400)) if len(made) == 2]
    assert len(pairs) > 50
    for attack, harmless in pairs:
        assert (attack.kind, harmless.kind) == (Kind.INJECTION, Kind.BENIGN)
        assert attack.group == harmless.group
        assert attack.labels["style"] == harmless.labels["style"]
        assert attack.text != harmless.text


def test_a_group_stands_on_one_label_unless_it_is_a_pair(drawn: list[Made]) -> None:
    kinds = defaultdict(set)
    for made in drawn:
        if made.labels["form"] != "pair":
            kinds[made.group].add(made.kind)
    assert all(len(found) == 1 for found in kinds.values())


def test_texts_are_distinct_and_no_slot_is_left_over(drawn: list[Made]) -> None:
    assert len({made.text for made in drawn}) > 0.95 * len(drawn)
    leftover = re.compile(r"dx_|foreign_(?:link|email)|~~|\{(?!summary)\w+\}")
    assert [made.text for made in drawn if leftover.search(made.text)] == []


def test_both_sides_are_equally_long_and_use_every_trigger_word(drawn: list[Made]) -> None:
    sides = {kind: [made.text.lower() for made in drawn if made.kind is kind] for kind in (Kind.INJECTION, Kind.BENIGN)}
    medians = [statistics.median(len(text.split()) for text in texts) for texts in sides.values()]
    assert 0.75 < medians[0] / medians[1] < 1.35
    for word in TRIGGERS:
        assert all(any(word in text for text in texts) for texts in sides.values()), word


def test_chatty_texts_are_shortened() -> None:
    assert "u " in chatty("You are what you are because you want to", random.Random(1))
