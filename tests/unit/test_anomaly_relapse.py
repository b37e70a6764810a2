"""The hour after a cut: what excuses counts half, and the trouble is one."""

from __future__ import annotations

import pytest

from serving.anomaly.rule import Observation
from serving.anomaly.signals import SIGNALS, Signal
from tests.unit.test_anomaly_controller import ATTACK, GOOD, Caller, contained


def drop(caller: Caller, signal: Signal, hours: float) -> float:
    """By how much an ordinary text, so long after the last one, excuses what was gathered."""
    assert caller.state
    before = caller.state.standing.suspicions[SIGNALS.index(signal)] * 2 ** (-hours / 6)
    caller.sends(GOOD, every_s=hours * 3600)
    return before - caller.state.standing.suspicions[SIGNALS.index(signal)]


def test_in_the_hour_after_a_cut_what_excuses_the_use_of_a_key_counts_half() -> None:
    caller = Caller()
    caller.sends(Observation(injection=1.0, near_threshold=True, tokens=50), 20)
    assert caller.cuts
    assert drop(caller, Signal.PROBING, hours=0.5) == pytest.approx(0.2, abs=0.001)
    assert drop(caller, Signal.PROBING, hours=0.6) == pytest.approx(0.4, abs=0.001)


def test_what_the_texts_themselves_say_excuses_as_much_as_ever() -> None:
    assert drop(contained(), Signal.INJECTION, hours=0.1) == pytest.approx(1.2, abs=0.001)


def test_trouble_begins_with_the_first_of_cuts_that_follow_one_another_within_an_hour() -> None:
    caller = Caller()
    while not caller.cuts:
        caller.sends(ATTACK)
    first = caller.now_us
    for _ in range(4):
        assert caller.sends(ATTACK, every_s=1800).cut
        assert caller.state
        assert caller.state.standing.trouble_us == first
    assert caller.sends(ATTACK, every_s=3601).cut
    assert caller.state.standing.trouble_us == caller.now_us
