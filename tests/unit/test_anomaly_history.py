"""Who has a history: what takes it away, and what others send does not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from serving.anomaly.rule import Observation
from tests.unit.test_anomaly_controller import ATTACK, GOOD, Caller


def established() -> Caller:
    caller = Caller()
    caller.sends(GOOD, 60, every_s=60)
    return caller


def test_who_has_a_history_and_quotes_a_running_campaign_in_some_texts_is_not_cut() -> None:
    for seed in range(20):
        dice, analyst = random.Random(seed), established()
        for _ in range(100):
            quotes = dice.random() < 0.2
            analyst.sends(replace(ATTACK, hot=1) if quotes else GOOD, every_s=40)
        assert analyst.cuts == 0


def test_a_popular_template_that_looks_a_little_like_an_attack_costs_who_has_a_history_nothing_at_first() -> None:
    user = established()
    user.sends(Observation(injection=0.9, hot=1, tokens=50), 6, every_s=60)
    assert user.cuts == 0


def test_a_hot_pattern_adds_nothing_for_a_caller_with_a_history() -> None:
    alone, together = established(), established()
    score = together.sends(replace(ATTACK, hot=1), 5, every_s=60).score
    assert score == alone.sends(ATTACK, 5, every_s=60).score == pytest.approx(0.52, abs=0.01)


def test_a_history_once_earned_is_lost_by_a_cut_only() -> None:
    caller = established()
    caller.sends(Observation(injection=0.6, tokens=50), 8, every_s=60)
    assert not caller.sends(GOOD).fresh
    assert caller.sends(ATTACK, 20).fresh
    assert caller.cuts


def test_what_a_caller_passes_on_neither_accuses_nor_excuses() -> None:
    foreign = replace(ATTACK, hot=1, harm=1.0, similarity=1.0, near_threshold=True, own=False)
    caller = Caller()
    assert caller.sends(foreign, 50, every_s=60).score == 0
    assert caller.state
    assert caller.state.standing.good == 0
    caller.sends(ATTACK, 3)
    gathered = caller.state.standing.suspicions[0]
    caller.sends(replace(GOOD, own=False), 5)
    assert caller.state.standing.suspicions[0] == pytest.approx(gathered, abs=0.01)
