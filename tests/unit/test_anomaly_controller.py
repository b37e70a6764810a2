"""The controller of the factor: one test for each of its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.anomaly.rule import Adaptive, Knobs, Observation, State, Verdict, factor_at, observe
from serving.anomaly.signals import SIGNALS, Signal, score, shares, signals_of
from serving.anomaly.standing import NO_PIN, Standing

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
ATTACK = Observation(injection=1.0, tokens=50)
GOOD = Observation(tokens=50)
KNOBS = Knobs()


class Caller:
    """One caller under the rule, on a clock of its own."""

    def __init__(self, knobs: Knobs = KNOBS) -> None:
        self.knobs = knobs
        self.now_us = START
        self.state: State | None = None
        self.cuts = 0

    def sends(self, observation: Observation, times: int = 1, every_s: float = 2) -> Verdict:
        for _ in range(times):
            self.now_us += int(every_s * SECOND)
            self.state, verdict = observe(self.state, observation, self.now_us, self.knobs)
            self.cuts += verdict.cut
        return verdict

    def factor(self, after_s: float = 0) -> float:
        assert self.state
        return factor_at(self.state.standing, self.now_us + int(after_s * SECOND), self.knobs.adaptive)


def contained() -> Caller:
    caller = Caller()
    caller.sends(ATTACK, 20)
    assert caller.factor() == KNOBS.adaptive.floor
    return caller


def test_one_attack_is_no_campaign() -> None:
    caller = Caller()
    verdict = caller.sends(ATTACK)
    assert verdict.factor == 1
    assert 0 < verdict.score < 0.2


def test_a_campaign_is_cut_within_ten_requests_and_at_the_floor_within_fifteen() -> None:
    caller = Caller()
    assert caller.sends(ATTACK, 10).factor < 1
    assert caller.sends(ATTACK, 5).factor == KNOBS.adaptive.floor


def test_a_third_of_attacks_among_good_texts_is_tolerated() -> None:
    caller = Caller()
    for _ in range(200):
        caller.sends(ATTACK)
        caller.sends(GOOD, 2)
    assert caller.cuts == 0


def test_a_cut_multiplies_by_at_most_the_cut_and_by_more_the_surer_it_is() -> None:
    caller = Caller()
    factors = [caller.sends(ATTACK).factor for _ in range(12)]
    ratios = [after / before for before, after in zip([1.0, *factors], factors, strict=False) if after < before]
    assert ratios[0] <= KNOBS.adaptive.cut
    assert ratios[1] < ratios[0]


def test_there_is_at_most_one_cut_in_an_interval() -> None:
    caller = Caller(Knobs(Adaptive(cut_interval_s=60)))
    caller.sends(ATTACK, 25)
    assert caller.cuts == 1
    caller.sends(ATTACK, every_s=60)
    assert caller.cuts == 2


def test_the_factor_stays_between_floor_and_ceiling() -> None:
    caller = Caller(Knobs(Adaptive(floor=0.2, ceiling=0.9)))
    assert caller.sends(GOOD).factor == 0.9
    assert caller.sends(ATTACK, 50).factor == 0.2


def test_nothing_comes_back_during_the_cool_down() -> None:
    assert contained().factor(after_s=560) == KNOBS.adaptive.floor


def test_after_the_cool_down_it_comes_back_evenly() -> None:
    caller = contained()
    assert caller.factor(after_s=560 + 20) == pytest.approx(0.5, abs=0.001)


def test_ten_minutes_after_the_last_offence_all_room_is_back() -> None:
    assert contained().factor(after_s=600) == 1


def test_good_requests_neither_hasten_nor_delay_the_recovery() -> None:
    caller = contained()
    offence = caller.now_us
    caller.sends(GOOD, 10, every_s=30)
    assert caller.state
    assert caller.state.standing.bad_us == offence


def test_an_offence_during_recovery_begins_the_cool_down_anew_from_what_had_come_back() -> None:
    caller = Caller(Knobs(Adaptive(cut_interval_s=10_000)))
    caller.sends(ATTACK, 9)
    cut = caller.factor()
    assert cut < 1
    caller.sends(ATTACK, every_s=560 + 20)
    held = caller.factor()
    assert held == pytest.approx(cut + 0.5, abs=0.01)
    assert caller.factor(after_s=560) == held


def test_a_repeated_offender_is_cut_at_its_first_new_offence() -> None:
    caller = contained()
    caller.now_us += 700 * SECOND
    assert caller.factor() == 1
    assert caller.sends(ATTACK).factor < 0.1


def test_suspicion_halves_in_six_hours() -> None:
    caller = contained()
    assert caller.state
    before = caller.state.standing.suspicions[0]
    caller.sends(Observation(injection=1.2 / 2.3), every_s=6 * 3600)  # a text that says nothing either way
    assert caller.state.standing.suspicions[0] == pytest.approx(before / 2, abs=1e-5)


def test_low_and_slow_adds_up() -> None:
    caller = Caller()
    assert caller.sends(ATTACK, 14, every_s=600).factor < 1


def test_good_texts_undo_suspicion() -> None:
    caller = Caller()
    caller.sends(ATTACK, 6)
    assert caller.sends(GOOD, 8).signals[Signal.INJECTION] == 0


def test_a_burst_alone_is_no_offence() -> None:
    caller = Caller()
    assert caller.sends(GOOD, 100, every_s=0.01).signals[Signal.RATE] == 1
    assert caller.sends(GOOD, 500, every_s=0.01).signals[Signal.RATE] == 0  # by now it is usual for this caller
    assert caller.cuts == 0


def test_largest_texts_in_a_flood_of_tokens_are_an_offence_and_singly_are_not() -> None:
    flood, singly = Caller(), Caller()
    large = Observation(tokens=24_000)
    flood.sends(large, 25, every_s=15)
    singly.sends(large, 25, every_s=400)
    assert flood.factor() < 0.1
    assert singly.cuts == 0


def test_large_texts_are_not_odd_for_whom_they_are_usual() -> None:
    batch = Caller()
    for every_s in (400, 300, 200, 150, 100, 70, 50, 40, 30, 20, 15):
        batch.sends(Observation(tokens=12_000), 60, every_s=every_s)
    assert batch.cuts == 0


def test_scores_just_under_a_threshold_again_and_again_are_an_offence() -> None:
    caller = Caller()
    assert caller.sends(Observation(injection=0.45, near_threshold=True, tokens=50), 14).factor < 1


def test_what_many_send_is_no_evidence_by_itself() -> None:
    caller = Caller()
    verdict = caller.sends(Observation(injection=0.5, hot=1, tokens=50), 100)
    assert verdict.signals[Signal.NEAR_DUPLICATE] == 1
    assert (verdict.score, caller.cuts) == (pytest.approx(0.3), 0)


def test_what_many_send_makes_a_newcomers_own_texts_weigh_a_little_more() -> None:
    alone, together = Caller(), Caller()
    mild = replace(ATTACK, injection=0.9)
    alone.sends(mild, 9)
    together.sends(replace(mild, hot=1), 9)
    assert (alone.cuts, together.cuts) == (0, 1)


def test_not_even_a_stranger_is_cut_by_a_single_text() -> None:
    worst = Observation(injection=1, harm=1, similarity=1, near_threshold=True, hot=1, tokens=24_000, other=1)
    assert Caller().sends(worst).factor == 1


def test_a_pin_overrides_what_was_learnt_and_is_kept() -> None:
    caller = contained()
    assert caller.state
    caller.state = replace(caller.state, standing=replace(caller.state.standing, pin=0.5))
    assert caller.factor() == 0.5
    assert caller.sends(ATTACK).factor == 0.5


def test_a_clock_that_jumps_back_locks_nobody_out_for_longer() -> None:
    caller = contained()
    caller.now_us -= 3600 * SECOND
    caller.sends(GOOD)
    assert caller.factor(after_s=600) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": 0.0},
        {"floor": 0.5, "ceiling": 0.4},
        {"cut": 1.0},
        {"release_at": 0.9},
        {"cut_at": 1.0},
        {"recovery_s": 0.0},
    ],
)
def test_knobs_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Adaptive(**wrong)  # type: ignore[arg-type]


def test_a_packed_state_comes_back_as_it_was() -> None:
    caller = contained()
    assert caller.state
    caller.sends(replace(ATTACK, other=2**63 + 1, pattern=5))
    assert State.unpack(caller.state.pack()) == caller.state
    assert Standing.unpack(caller.state.pack()) == caller.state.standing
    assert caller.state.standing.pin == NO_PIN


share = st.floats(0, 1)
observations = st.builds(
    Observation,
    injection=share,
    harm=share,
    similarity=share,
    near_threshold=st.booleans(),
    tokens=st.integers(0, 25_000),
    other=st.integers(0, 2**64 - 1),
    hot=share,
    unknown_key=st.booleans(),
)


@given(
    history=st.lists(st.tuples(st.integers(-(10**9), 10**10), observations), max_size=40), wait=st.integers(0, 10**10)
)
def test_factor_score_and_signals_stay_within_their_bounds(history: list[tuple[int, Observation]], wait: int) -> None:
    adaptive = Adaptive(floor=0.05, ceiling=0.95)
    caller = Caller(Knobs(adaptive))
    for gap_us, observation in history:
        verdict = caller.sends(observation, every_s=gap_us / SECOND)
        assert adaptive.floor <= verdict.factor <= adaptive.ceiling
        assert 0 <= verdict.score < 1
        assert all(0 <= value <= 1 for value in verdict.signals.values())
    if caller.state:
        assert adaptive.floor <= factor_at(caller.state.standing, caller.now_us + wait, adaptive) <= adaptive.ceiling


@given(st.lists(st.floats(0, 12), min_size=len(SIGNALS), max_size=len(SIGNALS)))
def test_the_shares_of_a_score_say_how_much_of_it_each_signal_is(steps: list[float]) -> None:
    signals = signals_of(steps)
    parts = shares(signals)
    assert set(parts) == {signal for signal, value in signals.items() if value > 0}
    assert sum(parts.values()) == pytest.approx(1 if parts else 0)
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
    assert max(signals.values()) * 0.2 <= score(signals) + 1e-9
