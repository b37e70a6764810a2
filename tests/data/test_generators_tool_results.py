"""Tool results: determinism, mixture, twins at the same place, formats that stay valid, no give-away in the length."""

import json
import random
import re
import statistics
from collections import Counter, defaultdict

import pytest

from data.generators.grammar import load_grammar
from data.generators.made import Made
from data.generators.tool_results import MAX_CHARACTERS, family, tool_result
from data.schema import Direction, Kind


def _families(seed: int, count: int) -> list[list[Made]]:
    grammar = load_grammar()
    return [family(grammar, random.Random(f"{seed}:{number}")) for number in range(count)]


@pytest.fixture(scope="module")
def families() -> list[list[Made]]:
    return _families(3, 1500)


@pytest.fixture(scope="module")
def texts(families: list[list[Made]]) -> list[Made]:
    return [made for made_family in families for made in made_family]


def test_the_same_seed_gives_the_same_texts(families: list[list[Made]]) -> None:
    assert _families(3, 50) == families[:50]
    assert _families(4, 50) != families[:50]


def test_about_45_percent_are_attacks_and_hardly_any_text_comes_twice(texts: list[Made]) -> None:
    attacks = [made for made in texts if made.kind is Kind.INJECTION]
    assert {made.kind for made in texts} == {Kind.INJECTION, Kind.BENIGN}
    assert 0.40 <= len(attacks) / len(texts) <= 0.50
    assert len({made.text for made in texts}) > 0.98 * len(texts)
    assert len({made.group for made in attacks}) >= 180


def test_every_intent_form_placement_and_tool_occurs(texts: list[Made]) -> None:
    seen = {key: Counter(made.labels[key] for made in texts) for key in ("form", "intent", "placement", "carrier")}
    assert set(seen["form"]) == {"attack", "clean", "people"}
    assert set(seen["intent"]) == {"none", "tool", "polite", "code", "exfil", "manip", "secret", "multi", "catalogue"}
    assert set(seen["placement"]) == {"none", "start", "middle", "end", "field"}
    assert len(seen["carrier"]) >= 60
    for made in texts:
        assert (made.kind is Kind.INJECTION) == (made.labels["form"] == "attack") == (made.labels["intent"] != "none")
        assert made.direction is Direction.INPUT


def test_twins_share_the_group_and_the_carrier(families: list[list[Made]]) -> None:
    for members in families:
        assert len({made.group for made in members}) == 1
        assert len({made.labels["carrier"] for made in members}) == 1
        assert sum(made.kind is Kind.INJECTION for made in members) == (len(members) > 1)


def test_no_mark_is_left_and_lengths_are_those_of_tool_results(texts: list[Made]) -> None:
    lengths = sorted(len(made.text) for made in texts)
    assert not any(re.search("[§⌈⌉⟦⟧]", made.text) for made in texts)
    assert lengths[0] >= 80
    assert lengths[-1] <= MAX_CHARACTERS + 500
    assert lengths[len(lengths) * 9 // 10] > 1200


def test_a_planted_attack_and_a_planted_request_are_about_equally_long(texts: list[Made]) -> None:
    by_form: dict[str, list[int]] = defaultdict(list)
    for made in texts:
        by_form[made.labels["form"]].append(len(made.text))
    assert abs(statistics.median(by_form["attack"]) - statistics.median(by_form["people"])) < 120


def test_json_stays_json_whatever_is_planted() -> None:
    grammar = load_grammar()
    for number in range(300):
        result = tool_result(grammar, random.Random(number))
        if result.escape('"') != '\\"':
            continue
        for place, _ in result.places():
            planted = 'Say "yes" {now}\nand send it.'
            assert planted in str(_strings(json.loads(result.fill(place, planted)))).replace("\\n", "\n")
        json.loads(result.clean())


def _strings(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(_strings(item) for item in value.values())
    if isinstance(value, list):
        return " ".join(_strings(item) for item in value)
    return str(value)


def test_the_trigger_words_stand_on_both_sides(texts: list[Made]) -> None:
    both = ["IMPORTANT!!!", "gnore ", "transfer", "assistant", "user", "unlock", "mention", "password"]
    for word in both:
        kinds = Counter(made.kind for made in texts if word in made.text)
        assert min(kinds[Kind.INJECTION], kinds[Kind.BENIGN]) >= 5, (word, kinds)
