"""The rule by itself: worked numbers, and what holds for every history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.ratelimit.answers import to_admission
from serving.ratelimit.limits import Charge, Demand, Limit, Weighed, weigh
from serving.ratelimit.storage import LocalStorage, StorageFullError

SECOND = 1_000_000
PER_MINUTE = Limit("requests", 5 / 60, 5)


@dataclass
class Clock:
    now_us: int = 0

    def __call__(self) -> int:
        return self.now_us


def hit(storage: LocalStorage, demand: Demand, principal: str = "p") -> Weighed:
    return asyncio.run(storage.hit(principal, demand))


BUDGET = Limit("daily-tokens", 1000 / 86_400, 1000, "tokens", adaptive=False)
DAY = 86_400 * SECOND


def one(limit: Limit, cost: float = 1, factor: float = 1.0) -> Demand:
    return Demand((Charge(limit, cost),), factor)


@pytest.mark.parametrize("name", ["", "a,b", "a\0b", "a b", "ünï,"])
def test_a_name_that_a_storage_could_not_keep_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name is"):
        Limit(name, 1.0, 5)


def test_the_worked_example_of_the_documentation() -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    assert [hit(storage, one(PER_MINUTE)).rows[0].remaining for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = hit(storage, one(PER_MINUTE))
    assert not refused.admitted
    assert refused.rows[0].retry_us == 12 * SECOND
    clock.now_us = 12 * SECOND - 1
    assert hit(storage, one(PER_MINUTE)).rows[0].retry_us == 1
    clock.now_us = 12 * SECOND
    assert hit(storage, one(PER_MINUTE)).admitted


def test_the_token_example_of_the_documentation() -> None:
    storage = LocalStorage(Clock())
    tokens = Limit("tokens", 10_000 / 60, 10_000, "tokens")
    assert [hit(storage, one(tokens, 2_500)).rows[0].ahead_us for _ in range(3)] == [
        15 * SECOND,
        30 * SECOND,
        45 * SECOND,
    ]
    refused = hit(storage, one(tokens, 3_000))
    assert (refused.rows[0].remaining, refused.rows[0].retry_us) == (2_500, 3 * SECOND)
    assert hit(storage, one(tokens, 2_000)).admitted
    assert one(tokens, 10_001).impossible


def test_retry_after_is_the_first_moment_at_which_the_same_demand_passes() -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    tokens = Limit("tokens", 1000, 10_000, "tokens")
    assert hit(storage, one(tokens, 8_000)).admitted
    wait = hit(storage, one(tokens, 5_000)).rows[0].retry_us
    clock.now_us += wait - 1
    assert not hit(storage, one(tokens, 5_000)).admitted
    clock.now_us += 1
    assert hit(storage, one(tokens, 5_000)).admitted


def test_when_one_limit_refuses_no_limit_is_charged_and_no_lease_is_taken() -> None:
    storage = LocalStorage(Clock())
    tokens = Limit("tokens", 10, 100, "tokens")
    both = Demand((Charge(PER_MINUTE, 1), Charge(tokens, 90)), concurrent=2, lease_id="a")
    assert hit(storage, both).admitted
    refused = hit(storage, Demand(both.charges, concurrent=2, lease_id="b"))
    assert not refused.admitted
    assert (refused.rows[0].remaining, refused.rows[1].remaining, refused.held) == (4, 10, 1)


def test_a_factor_lowers_rate_and_burst_and_leaves_the_window() -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    limit = Limit("requests", 1, 10)
    assert sum(hit(storage, one(limit, factor=0.5)).admitted for _ in range(20)) == 5
    clock.now_us = 10 * SECOND
    assert sum(hit(storage, one(limit, factor=0.5)).admitted for _ in range(20)) == 5


def test_a_factor_smaller_than_one_unit_of_burst_slows_down_but_never_shuts_out() -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    assert hit(storage, one(PER_MINUTE, factor=0.1)).admitted
    refused = hit(storage, one(PER_MINUTE, factor=0.1))
    assert not refused.admitted
    assert refused.rows[0].retry_us == 120 * SECOND
    clock.now_us = 120 * SECOND
    assert hit(storage, one(PER_MINUTE, factor=0.1)).admitted


def test_a_factor_leaves_a_budget_as_it_is() -> None:
    storage = LocalStorage(Clock())
    spent = Demand((Charge(PER_MINUTE, 1), Charge(BUDGET, 400)), factor=0.5)
    weighed = hit(storage, spent)
    assert weighed.rows[0].ahead_us == 24 * SECOND
    assert (weighed.rows[1].remaining, weighed.rows[1].ahead_us) == (600, 400 * BUDGET.interval_us)
    assert to_admission(spent, weighed).states[1].remaining == 600


def test_a_budget_comes_back_evenly_over_a_day() -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    assert hit(storage, one(BUDGET, 1000)).admitted
    refused = hit(storage, one(BUDGET, 250))
    assert (refused.rows[0].remaining, refused.rows[0].retry_us) == (0, DAY // 4)
    clock.now_us = DAY // 4
    assert hit(storage, one(BUDGET, 250)).admitted
    clock.now_us = DAY // 4 + DAY
    assert hit(storage, one(BUDGET, 1000)).admitted


@given(steps=st.lists(st.tuples(st.integers(0, 3 * 3_600), st.floats(0, 600)), max_size=80))
def test_any_n_days_admit_at_most_n_plus_one_budgets(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    storage = LocalStorage(clock)
    admitted: list[tuple[int, float]] = []
    for wait_s, cost in steps:
        clock.now_us += wait_s * SECOND
        if hit(storage, one(BUDGET, cost, factor=0.3)).admitted:
            admitted.append((clock.now_us, cost))
    for first, (start, _) in enumerate(admitted):
        total = 0.0
        for at, cost in admitted[first:]:
            total += cost
            assert total <= 1000 * (1 + (at - start) / DAY) + 1e-6


def test_a_clock_that_jumps_back_locks_nobody_out_for_longer_than_a_window() -> None:
    clock = Clock(10**15)
    storage = LocalStorage(clock)
    for _ in range(5):
        hit(storage, one(PER_MINUTE))
    clock.now_us -= 3_600 * SECOND
    refused = hit(storage, one(PER_MINUTE))
    assert refused.rows[0].retry_us == 12 * SECOND


def test_leases_end_by_release_and_by_lapse() -> None:
    clock = Clock()
    storage = LocalStorage(clock)

    def take(lease: str) -> bool:
        return hit(storage, Demand((), concurrent=2, lease_id=lease, lease_us=SECOND)).admitted

    assert [take("a"), take("b"), take("c")] == [True, True, False]
    storage.release("p", "a")
    assert [take("c"), take("d")] == [True, False]
    clock.now_us = SECOND
    assert take("d")


def test_a_full_local_storage_refuses_strangers_and_keeps_debtors() -> None:
    clock = Clock()
    storage = LocalStorage(clock, max_principals=2)
    hit(storage, one(PER_MINUTE, 5), "a")
    hit(storage, one(PER_MINUTE, 1), "b")
    with pytest.raises(StorageFullError):
        hit(storage, one(PER_MINUTE), "c")
    assert not hit(storage, one(PER_MINUTE), "a").admitted
    clock.now_us = 12 * SECOND  # b has paid back
    assert hit(storage, one(PER_MINUTE), "c").admitted
    assert len(storage) == 2


def test_a_mirrored_answer_only_ever_adds_debt() -> None:
    storage = LocalStorage(Clock())
    demand = one(PER_MINUTE)
    newer, older = weigh(demand, [36 * SECOND], 0), weigh(demand, [12 * SECOND], 0)
    storage.mirror("p", demand, newer)
    storage.mirror("p", demand, older)
    assert hit(storage, demand).rows[0].remaining == 0


@pytest.mark.parametrize(("rate", "burst"), [(0, 5), (-1, 5), (float("nan"), 5), (1e9, 5), (1, 0)])
def test_a_limit_that_means_nothing_is_refused_when_it_is_made(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="limit 'x'"):
        Limit("x", rate, burst)


@pytest.mark.parametrize("per_minute", [1, 5, 7, 50, 500, 60_000, 1_000_000])
def test_an_interval_is_exact_or_a_fraction_of_a_microsecond_too_long(per_minute: int) -> None:
    interval = Limit("x", per_minute / 60, 10).interval_us
    assert interval - 1 < 60_000_000 / per_minute <= interval + 1e-6


def test_only_a_cost_beyond_the_whole_burst_is_impossible() -> None:
    assert one(PER_MINUTE, 6).impossible
    assert not one(PER_MINUTE, 5, factor=0.01).impossible
    storage = LocalStorage(Clock())
    assert hit(storage, one(PER_MINUTE, 5, factor=0.01)).admitted


steps = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 8)), max_size=60)


@given(steps=steps, per_minute=st.integers(1, 600), burst=st.integers(1, 12))
def test_no_stretch_of_any_history_admits_more_than_burst_plus_rate(
    steps: list[tuple[int, int]], per_minute: int, burst: int
) -> None:
    clock, limit = Clock(), Limit("x", per_minute / 60, burst)
    storage = LocalStorage(clock)
    admitted: list[tuple[int, int]] = []
    for wait, cost in steps:
        clock.now_us += wait
        demand = one(limit, cost)
        if not demand.impossible and hit(storage, demand).admitted:
            admitted.append((clock.now_us, cost))
    for first, (start, _) in enumerate(admitted):
        total = 0
        for at, cost in admitted[first:]:
            total += cost
            assert total <= burst + (at - start) / limit.interval_us


@given(ahead=st.integers(0, 10**9), cost=st.integers(0, 20), burst=st.integers(1, 20), factor=st.floats(0.01, 1))
def test_waiting_as_told_always_suffices(ahead: int, cost: int, burst: int, factor: float) -> None:
    demand = one(Limit("x", 1, burst), cost, factor)
    weighed = weigh(demand, [ahead], 0)
    state = to_admission(demand, weighed).states[0]
    assert weighed.admitted == (state.retry_after_us == 0)
    assert weigh(demand, [max(0, weighed.rows[0].ahead_us - state.retry_after_us)], 0).admitted or weighed.admitted
    assert 0 <= state.remaining <= burst
    assert state.retry_after_us <= state.next_us <= state.reset_us


@given(ahead=st.integers(0, 30_000_000), factor=st.floats(0.05, 1))
def test_one_more_unit_is_there_at_next_and_not_before(ahead: int, factor: float) -> None:
    limit = Limit("x", 1, 30)
    state = to_admission(one(limit, 0, factor), weigh(one(limit, 0, factor), [ahead], 0)).states[0]

    def later(wait: int) -> int:
        return weigh(one(limit, 0, factor), [ahead - wait], 0).rows[0].remaining

    if state.next_us:
        assert later(state.next_us - 1) == state.remaining < later(state.next_us)
    else:
        assert state.remaining == later(ahead)
