"""The hour after a cut: what excuses counts half, and the trouble is one."""

from __future__ import annotations

import pytest

from tests.unit.test_anomaly_controller import ATTACK, GOOD, SECOND, Caller, contained


def test_in_the_hour_after_a_cut_what_excuses_counts_half() -> None:
    caller = contained()
    assert caller.state
    before = caller.state.standing.suspicions[0]
    caller.sends(GOOD)
    assert caller.state.standing.suspicions[0] == pytest.approx(before - 0.6, abs=0.01)
    caller.now_us += 3600 * SECOND
    faded = caller.state.standing.suspicions[0] * 2 ** (-1 / 6)
    caller.sends(GOOD)
    assert caller.state.standing.suspicions[0] == pytest.approx(faded - 1.2, abs=0.01)


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
