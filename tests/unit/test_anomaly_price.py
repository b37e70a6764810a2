"""What a caller pays: its own factor, its address's for a stranger, an operator's word; and whose memory counts."""

from __future__ import annotations

from dataclasses import replace

from serving.anomaly.standing import Adaptation, Adaptive, Standing, counting, is_fresh, is_stranger, price

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
THERE_BEFORE = Standing(good=1, since_us=START - 3600 * SECOND)


def test_a_stranger_pays_the_factor_of_its_address_and_an_established_caller_does_not() -> None:
    told = Adaptation(address_factor=0.1, address_wait_us=7)
    known = Standing(good=5, since_us=START - 600 * SECOND)
    assert (price(None, START, told).factor, price(None, START, told).wait_us) == (0.1, 7)
    assert (price(known, START, told).factor, price(known, START, told).wait_us) == (1, 0)
    assert is_fresh(replace(known, good=4), START)
    assert is_fresh(replace(known, since_us=START - 599 * SECOND), START)


def test_what_redis_forgot_this_process_remembers() -> None:
    remembered = Standing(factor=0.3, bad_us=-60 * SECOND, seen_us=-60 * SECOND)
    counts = counting(None, remembered, START)
    assert counts == remembered.moved(START)
    assert price(None, START, Adaptation(remembered=remembered)).factor == 0.3


def test_a_memory_counts_against_a_store_only_for_an_offence_that_the_store_has_not_seen() -> None:
    remembered = Standing(factor=0.3, bad_us=-60 * SECOND)
    older = Standing(seen_us=START - 3600 * SECOND, pin=0.7)
    newer = Standing(seen_us=START - 60 * SECOND)
    assert counting(older, remembered, START) == replace(remembered.moved(START), pin=0.7)
    assert counting(newer, remembered, START) == newer
    assert counting(newer, None, START) == newer


def test_a_ban_holds_in_every_mode_and_shadow_enforces_nothing_else() -> None:
    shadow = Adaptation(Adaptive(mode="shadow"))
    assert price(Standing(pin=0), START, shadow).banned
    assert price(Standing(pin=0), START, shadow).enforced
    lowered = price(Standing(factor=0.1, bad_us=START), START, shadow)
    assert (lowered.factor, lowered.lowered, lowered.enforced) == (0.1, True, False)


def test_who_was_at_an_address_ten_minutes_before_its_trouble_is_no_stranger_there() -> None:
    assert not is_stranger(THERE_BEFORE, START, trouble_us=START - 2999 * SECOND)
    assert is_stranger(THERE_BEFORE, START, trouble_us=START - 3000 * SECOND)
    assert is_stranger(None, START, trouble_us=START)


def test_who_was_there_before_with_an_offence_or_without_an_ordinary_request_is_a_stranger() -> None:
    assert is_stranger(replace(THERE_BEFORE, bad_us=THERE_BEFORE.since_us), START, trouble_us=START)
    assert is_stranger(replace(THERE_BEFORE, good=0), START, trouble_us=START)


def test_who_has_a_history_is_no_stranger_whenever_the_trouble_began() -> None:
    known = Standing(good=5, since_us=START - 600 * SECOND, bad_us=START - 60 * SECOND)
    assert not is_stranger(known, START, trouble_us=0)


def test_who_was_there_before_the_trouble_keeps_its_limits() -> None:
    told = Adaptation(address_factor=0.1, address_wait_us=7, address_trouble_us=-600 * SECOND)
    there_before = price(None, START, replace(told, remembered=THERE_BEFORE.moved(-START)))
    assert (there_before.factor, there_before.wait_us, there_before.stranger) == (1, 0, False)
    late = replace(THERE_BEFORE, since_us=START - 1199 * SECOND)
    assert price(None, START, replace(told, remembered=late.moved(-START))).factor == 0.1
