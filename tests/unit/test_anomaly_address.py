"""What is learnt about an address, behind which there may be one attacker or two hundred honest people."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from serving.anomaly import sketch
from serving.anomaly.fingerprint import hashed
from serving.anomaly.patterns import MOST_PATTERNS, Pattern, observe_pattern
from serving.anomaly.rule import Knobs, Level, Observation, State, Verdict, observe
from serving.anomaly.signals import Signal

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
KNOBS = Knobs(level=Level.ADDRESS)


class Address:
    def __init__(self) -> None:
        self.now_us = START
        self.state: State | None = None
        self.lowest = 1.0

    def sees(self, key: str, every_s: float = 1, **more: object) -> Verdict:
        self.now_us += int(every_s * SECOND)
        observation = Observation(other=hashed(key), **more)  # type: ignore[arg-type]
        self.state, verdict = observe(self.state, observation, self.now_us, KNOBS)
        self.lowest = min(self.lowest, verdict.factor)
        return verdict


def test_keys_used_up_one_after_another_with_texts_alike_are_contained_within_ten_keys() -> None:
    address = Address()
    for key in range(10):
        for _ in range(5):
            address.sees(f"key {key}", pattern=0x1234)
    assert address.lowest < 0.1


def test_a_crowd_that_comes_and_goes_with_texts_alike_is_left_alone() -> None:
    address, dice = Address(), random.Random(1)
    for _ in range(2000):
        address.sees(f"pupil {dice.randrange(30)}", pattern=0x1234 if dice.random() < 0.5 else dice.getrandbits(64) | 1)
    assert address.lowest == 1


def test_keys_used_one_after_another_for_texts_of_their_own_are_left_alone() -> None:
    address, dice = Address(), random.Random(2)
    for key in range(40):
        for _ in range(5):
            address.sees(f"key {key}", every_s=30, pattern=dice.getrandbits(64) | 1)
    assert address.lowest == 1


def test_one_attacker_among_two_hundred_honest_people_does_not_make_the_address_hot() -> None:
    address, dice = Address(), random.Random(3)
    for _ in range(3000):
        attack = dice.random() < 0.2
        key = "attacker" if attack else f"person {dice.randrange(200)}"
        address.sees(key, every_s=0.3, injection=1.0 if attack else 0.0)
    assert address.lowest == 1


def test_ever_other_unknown_keys_are_stuffing() -> None:
    address = Address()
    for number in range(8):
        address.sees(f"guess {number}", unknown_key=True)
    assert address.lowest < 1


def test_one_unknown_key_tried_for_ever_is_a_forgotten_configuration() -> None:
    address = Address()
    for _ in range(500):
        verdict = address.sees("an old key", unknown_key=True)
    assert address.lowest == 1
    assert verdict.signals[Signal.UNKNOWN_KEYS] < 0.2


def test_a_few_revoked_keys_that_a_nightly_job_tries_every_hour_are_not_stuffing() -> None:
    address = Address()
    for number in range(72):
        address.sees(f"revoked {number % 3}", every_s=1200, unknown_key=True)
    assert address.lowest == 1


def test_a_crowd_alone_is_no_offence() -> None:
    address = Address()
    for number in range(500):
        address.sees(f"person {number}", every_s=0.5)
    assert address.lowest == 1


@pytest.mark.parametrize("size", [1, 3, 10, 30, 100, 300, 1000])
def test_a_sketch_counts_within_a_fifth_and_a_half_thing(size: int) -> None:
    counted = sketch.EMPTY
    for number in range(size):
        counted = sketch.add(counted, hashed(f"thing {number}"))
    assert sketch.count(counted, sketch.EMPTY) == pytest.approx(size, rel=0.2, abs=0.5)
    assert all(sketch.knows(counted, hashed(f"thing {number}")) for number in range(size))


def test_the_same_others_are_forgotten_after_two_generations() -> None:
    address = Address()
    for number in range(20):
        address.sees(f"person {number}")
    address.sees("somebody", every_s=1201)
    assert address.state
    assert address.state.count == pytest.approx(1, abs=0.1)


def heats(table: tuple[Pattern, ...], fingerprint: int, senders: range, now_us: int = START) -> list[float]:
    found = []
    for sender in senders:
        table, heat = observe_pattern(table, fingerprint, sender, now_us)
        found.append(heat)
    return found


def test_a_pattern_is_hot_by_its_different_senders_only() -> None:
    assert heats((), 7, range(32))[-1] == 1
    assert max(heats((), 7, range(2))) < 0.05
    table: tuple[Pattern, ...] = ()
    for _ in range(100):
        table, heat = observe_pattern(table, 7, 1, START)
    assert heat == 0


def test_what_always_has_many_senders_is_less_hot_than_what_has_them_suddenly() -> None:
    usual = (Pattern(7, 0, START, START, norm=10.0),)
    assert heats(usual, 7, range(20))[-1] < 0.1 < heats((), 7, range(20))[-1]


def test_texts_alike_share_a_pattern_and_others_do_not() -> None:
    table, _ = observe_pattern((), 0b0, 1, START)
    table, _ = observe_pattern(table, 0b11_1111, 2, START)
    assert len(table) == 1
    table, _ = observe_pattern(table, 0b111_1111, 3, START)
    assert len(table) == 2


def test_a_full_table_forgets_what_nobody_joined_first() -> None:
    table: tuple[Pattern, ...] = ()
    dice = random.Random(5)
    for sender in range(5):
        table, _ = observe_pattern(table, 7, sender, START)
    for number in range(2 * MOST_PATTERNS):
        table, _ = observe_pattern(table, dice.getrandbits(64) | 1 << 63, number, START + number)
    assert len(table) == MOST_PATTERNS
    assert any(pattern.fingerprint == 7 for pattern in table)
    assert replace(table[0], count=0).fingerprint != 7


def campaign_among_decoys(decoys: int, senders_of_each: int, between: int, by: int) -> float:
    """The heat of twenty senders of one text, sent into a table of decoys, with newer decoys by few between them."""
    dice, table, now_us = random.Random(3), (), START
    for number in range(decoys):
        decoy = dice.getrandbits(64)
        for sender in range(senders_of_each):
            now_us += SECOND
            table, _ = observe_pattern(table, decoy, 1000 + number + sender, now_us)
    heat, campaign = 0.0, dice.getrandbits(64)
    for sender in range(20):
        table, heat = observe_pattern(table, campaign, sender, now_us)
        for number in range(between):
            now_us += SECOND
            table, _ = observe_pattern(table, dice.getrandbits(64), 5000 + number % by, now_us)
    return heat


@pytest.mark.parametrize(
    ("decoys", "senders_of_each", "between", "by"),
    [(70, 2, 1, 1), (70, 2, 3, 1), (70, 3, 3, 1), (70, 5, 10, 10), (0, 0, 40, 4), (70, 5, 14, 14)],
)
def test_decoys_do_not_blind_the_table(decoys: int, senders_of_each: int, between: int, by: int) -> None:
    assert campaign_among_decoys(decoys, senders_of_each, between, by) > 0.9


def test_a_sender_has_three_places_for_what_nobody_else_sends() -> None:
    table: tuple[Pattern, ...] = ()
    dice = random.Random(5)
    for number in range(50):
        table, _ = observe_pattern(table, dice.getrandbits(64), 1, START + number)
    assert len(table) == 3
