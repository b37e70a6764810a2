"""The worked examples of docs/rate-limiting.md, worked again by the code: a number that has changed is found here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from serving.anomaly import sketch
from serving.anomaly.fingerprint import fingerprint, hashed
from serving.anomaly.patterns import Pattern, observe_pattern
from serving.anomaly.rule import Knobs, Level, Observation, State, observe
from serving.anomaly.signals import PROOF, SIGNALS, WEIGHTS, Signal, score, shares
from serving.anomaly.standing import SECOND_US, STANDING, USUAL, Standing, factor_at, is_stranger
from serving.anomaly.store import LIFETIME_MS
from serving.budget import DailyBudget

PAGE = (Path(__file__).parents[2] / "docs" / "rate-limiting.md").read_text()
NOW = 1_800_000_000 * SECOND_US
DAY_S = 86_400


def row(name: str, cells: Iterable[str]) -> None:
    """The page has a table row that begins with these cells."""
    assert f"| {name} | {' | '.join(cells)} |".replace("|  |", "| |") in PAGE


def campaign(texts: int) -> list[tuple[State, float, float]]:
    """State, score and factor after each of so many sure attacks, one every ten seconds."""
    state: State | None = None
    told = []
    for number in range(texts):
        attack = Observation(injection=1.0, tokens=100)
        state, verdict = observe(state, attack, NOW + number * 10 * SECOND_US, Knobs())
        told.append((state, verdict.score, verdict.factor))
    return told


def test_the_cusum_of_a_campaign() -> None:
    states = [state.standing for state, _, _ in campaign(10)]
    row("steps", [f"{standing.suspicions[0]:.2f}" for standing in states])
    row("signal", [f"{standing.signals[Signal.INJECTION]:.2f}" for standing in states])


def test_a_person_who_trips_the_filter_once_is_back_at_zero_after_two_texts() -> None:
    state, steps = None, []
    for evidence in (1.0, 0.0, 0.0):
        state, _ = observe(state, Observation(injection=evidence, tokens=100), NOW, Knobs())
        steps.append(round(state.standing.suspicions[0], 2))
    assert steps == [1.1, 0.0, 0.0]
    assert "1.10, 0, 0." in PAGE


@pytest.mark.parametrize(("hours", "left"), [(1, "8.9"), (3, "7.1"), (6, "5.0")])
def test_steps_fade_with_the_half_life_of_the_page(hours: int, left: str) -> None:
    proven = State(
        Standing(suspicions=(PROOF,) + (0.0,) * (len(SIGNALS) - 1), seen_us=NOW, since_us=NOW), turned_us=NOW
    )
    later, _ = observe(proven, Observation(unknown_key=True), NOW + hours * 3600 * SECOND_US, Knobs())
    assert f"{later.standing.suspicions[0]:.1f}" == left
    assert left in PAGE


def test_the_noisy_or_and_its_shares() -> None:
    signals = {Signal.INJECTION: 0.8, Signal.RATE: 1.0}
    assert f"{score(signals):.3f}" == "0.832"
    assert [f"{share:.0%}" for share in shares(signals).values()] == ["80%", "20%"]
    light = (Signal.SIMILARITY, Signal.NEAR_DUPLICATE, Signal.RATE, Signal.KEYS_PER_ADDRESS)
    assert [WEIGHTS[signal] for signal in light] == [0.5, 0.3, 0.3, 0.2]
    assert "(1 - 0.30) = 0.832" in PAGE


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_page_says_of_each_signal_whether_it_cuts_alone(signal: Signal) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{signal}` |")]
    assert line.endswith("| yes |" if WEIGHTS[signal] >= USUAL.cut_at else "| no |")


def test_cut_cool_down_and_recovery() -> None:
    told = campaign(10)
    row("score", [f"{found:.2f}" for _, found, _ in told[6:]])
    last = told[-1][0].standing
    after = [factor_at(last, last.bad_us + wait * SECOND_US, USUAL) for wait in (560, 565, 570, 580, 590, 600)]
    assert [f"{factor:.2g}" for _, _, factor in told[6:]] == ["1", "0.12", "0.0017", "0.001"]
    assert [round(factor, 2) for factor in after] == [0.0, 0.13, 0.25, 0.5, 0.75, 1.0]
    row("factor", ["1", "0.12", "0.0017", "0.001", "", "0.001", "0.13", "0.25", "0.50", "0.75", "1"])
    assert (USUAL.cool_down_s, USUAL.recovery_s, USUAL.floor, USUAL.cut) == (560, 40, 0.001, 0.25)
    assert USUAL.longest_debt_us == 540 * SECOND_US


@pytest.mark.parametrize(("total", "multiplier"), [(0.8, 0.25), (0.9, 0.031), (0.95, 0.011)])
def test_the_surer_the_deeper(total: float, multiplier: float) -> None:
    assert USUAL.cut ** (1 + 3 * (total - USUAL.cut_at) / (1 - USUAL.cut_at)) == pytest.approx(multiplier, abs=5e-4)
    assert f"{multiplier:g}" in PAGE


def test_sequential_keys() -> None:
    state, columns = None, []
    knobs = Knobs(level=Level.ADDRESS, requests_per_minute=5, tokens_per_minute=10_000, largest_tokens=2_000)
    for number in range(25):
        seen = Observation(other=hashed(f"k{number // 5}"), pattern=0xABCDEF0123456789)
        state, _ = observe(state, seen, NOW + number * 6 * SECOND_US, knobs)
        if number % 5 == 4:
            steps = state.standing.suspicions[SIGNALS.index(Signal.SEQUENCE)]
            columns.append((state.rotation, state.alike, state.rotation * state.alike, steps))
    changes, alike, product, steps_of = zip(*columns, strict=True)
    row("share of changes", ["0", *(f"{share:.2f}" for share in changes[1:])])
    row("share of texts alike", [f"{share:.2f}" for share in alike])
    row("product", ["0", *(f"{share:.2f}" for share in product[1:])])
    assert [round(steps, 2) for steps in steps_of] == [0, 0, 0.05, 4.89, 12.66]
    row("steps of `sequence`", ["0", "0", "0.05", "4.9", "12.7"])


def test_counts_of_the_hyperloglog() -> None:
    empty, estimates = [], []
    for things in (1, 10, 50, 100, 1000):
        registers = sketch.EMPTY
        for number in range(things):
            registers = sketch.add(registers, hashed(f"x{number}"))
        empty.append(str(registers.count(0)))
        estimates.append(sketch.count(registers, sketch.EMPTY))
    row("registers still empty", empty)
    row("estimate", [*(f"{estimate:.1f}" for estimate in estimates[:-1]), f"{estimates[-1]:.0f}"])


def test_the_bits_of_two_embeddings_follow_their_angle() -> None:
    rng = np.random.default_rng(1)
    for degrees, bits in ((0, 0.0), (10, 3.6), (17, 6.0), (45, 16.0), (90, 32.0)):
        differ = []
        for _ in range(60):
            one, across = np.linalg.qr(rng.normal(size=(384, 2)))[0].T
            other = math.cos(math.radians(degrees)) * one + math.sin(math.radians(degrees)) * across
            differ.append((fingerprint(one) ^ fingerprint(other)).bit_count())
        assert np.mean(differ) == pytest.approx(bits, abs=1.5)
    row("bits that differ", ["0", "3.6", "6.0", "16", "32"])


def test_the_heat_of_a_pattern() -> None:
    table: tuple[Pattern, ...] = ()
    heats = []
    for number in range(16):
        table, heat = observe_pattern(table, 0xFFFF, hashed(f"s{number}"), NOW + number * SECOND_US)
        heats.append(heat)
    row("heat", [*(f"{heats[senders - 1]:.2f}" for senders in (2, 3, 5, 10)), f"{heats[15]:g}"])


def test_a_hot_pattern_is_six_steps_for_a_newcomer_and_brings_its_cut_nearer() -> None:
    state, _ = observe(None, Observation(injection=1.0, hot=1.0, tokens=100), NOW, Knobs())
    assert state.standing.suspicions[SIGNALS.index(Signal.NEAR_DUPLICATE)] == 6
    for steps, hot in (("8.4", 0.0), ("7.5", 1.0)):
        at_cut = float(steps) / PROOF
        assert score({Signal.INJECTION: at_cut, Signal.NEAR_DUPLICATE: hot}) == pytest.approx(USUAL.cut_at, abs=0.004)
        assert steps in PAGE


def test_the_steps_of_injection_are_those_of_the_page() -> None:
    assert (round(math.log(0.78 / 0.26), 1), round(math.log(0.22 / 0.74), 1)) == (1.1, -1.2)
    for evidence, step in ((1.0, 1.1), (0.9, 0.87), (0.0, -1.2)):
        assert 2.3 * evidence - 1.2 == pytest.approx(step)
        state = State(Standing(suspicions=(5.0,) + (0.0,) * (len(SIGNALS) - 1), seen_us=NOW), turned_us=NOW)
        after, _ = observe(state, Observation(injection=evidence, tokens=100), NOW, Knobs())
        assert after.standing.suspicions[0] == pytest.approx(5 + step)


def test_who_counts_as_a_stranger() -> None:
    noon, minute = NOW, 60 * SECOND_US

    def counts_as(good: int, first_seen: int, offence: int | None = None) -> str:
        standing = Standing(good=good, since_us=first_seen, bad_us=offence or 0)
        stranger = is_stranger(standing, noon + minute, trouble_us=noon)
        return "stranger" if stranger else "its own limits"

    assert counts_as(5, noon - 10 * minute) == counts_as(1, noon - 11 * minute) == "its own limits"
    assert counts_as(1, noon - 8 * minute) == counts_as(1, noon - 11 * minute, noon - minute) == "stranger"
    row("one ordinary request, first seen at 11:49 or before, no offence", ["was there before: its own limits"])
    row("one ordinary request, first seen at 11:52", ["stranger"])


def test_the_ways_to_count_a_day() -> None:
    (money,) = DailyBudget(money=5.0).limits()
    assert money.interval_us == 17_280_000
    budget, rate = 5.0, money.rate_per_s / 1000
    assert f"{budget + rate * DAY_S:.2f}" == "10.00"
    assert f"{budget + rate * DAY_S * 30:.2f}" == "155.00"
    assert f"{budget + rate * 3600:.2f}" == "5.21"
    row("GCRA, all at once (this one)", ["10.00", "155.00", "5.21"])


def test_the_sizes_and_lifetimes_of_the_page() -> None:
    assert STANDING.size == 144
    assert "(144 bytes of the state)" in PAGE
    assert len(State().pack()) + 88 == 656  # and what Redis adds for key and entry
    assert LIFETIME_MS == DAY_S * 1000
