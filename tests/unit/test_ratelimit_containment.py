"""Containment: strangers at a misbehaving address share, who has a history there notices nothing, shadow counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptive, Standing
from serving.ratelimit import Admission, Limit, LocalStorage, RateLimiter, Reason
from serving.ratelimit.containment import Containment
from serving.ratelimit.limits import Demand, Weighed
from serving.redis_connection import RedisDown

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
REQUESTS = Limit("requests", 1, 20)


class Shared(LocalStorage):
    """A storage that answers after others had their turn, and can be away as Redis can; it knows some callers."""

    down = False
    known: dict[str, Standing] = {}  # noqa: RUF012  replaced, never changed

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        await asyncio.sleep(0)
        if self.down:
            raise RedisDown("down")
        if principal in self.known and demand.adaptation:
            remembered = self.known[principal].moved(-START)
            demand = replace(demand, adaptation=replace(demand.adaptation, remembered=remembered))
        return await super().hit(principal, demand)


class Bench:
    def __init__(self, replicas: int = 1) -> None:
        self.now_us = START
        self.memory = Memory(self.clock)
        self.shared = Shared(self.clock)
        local = LocalStorage(self.clock)
        containment = Containment(self.memory, local, replicas=replicas)
        self.limiter = RateLimiter(self.shared, local, containment=containment, replicas=replicas)

    def clock(self) -> int:
        return self.now_us

    def lower(self, caller: str, factor: float, **more: object) -> None:
        standing = Standing(factor=factor, bad_us=START, since_us=START, seen_us=START, **more)  # type: ignore[arg-type]
        self.memory.learn(caller, standing, START, Adaptive())

    async def hit(self, principal: str, mode: str = "enforce", limit: Limit = REQUESTS) -> Admission:
        adaptive = Adaptive(mode=mode)  # type: ignore[arg-type]
        return await self.limiter.hit(principal, [limit], {}, adaptive=adaptive, address="addr")


async def test_newcomers_at_a_misbehaving_address_share_one_account() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.01)
    answers = [await bench.hit(f"new {number}") for number in range(10)]
    assert [answer.allowed for answer in answers] == [True] + [False] * 9
    assert answers[1].reason is Reason.ABNORMAL
    assert answers[1].retry_after_s == 100
    bench.now_us += 100 * SECOND
    assert (await bench.hit("another")).allowed
    assert not (await bench.hit("one more")).allowed


async def test_newcomers_that_ask_at_the_same_time_get_no_more_than_those_in_a_row() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.001)
    answers = await asyncio.gather(*(bench.hit(f"new {number}") for number in range(50)))
    assert sum(answer.allowed for answer in answers) == 1


async def test_what_a_refused_newcomer_had_reserved_is_given_back() -> None:
    bench = Bench()
    bench.shared.known = {"banned": Standing(pin=0.0)}
    bench.lower("addr:newcomers", 0.01)
    assert (await bench.hit("banned")).reason is Reason.BANNED
    assert (await bench.hit("new")).allowed


async def test_neither_an_established_nor_a_pinned_caller_uses_up_the_newcomers_account() -> None:
    bench = Bench()
    bench.shared.known = {"old": Standing(good=5, since_us=START - 3600 * SECOND), "vip": Standing(pin=0.9)}
    bench.lower("addr:newcomers", 0.01)
    answers = [await bench.hit(who) for who in ("old", "vip") * 8]
    assert all(answer.allowed for answer in answers)
    assert (await bench.hit("new")).allowed


async def test_a_redis_that_is_away_and_denies_leaves_no_debt_to_newcomers() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.01)
    bench.shared.down = True
    refused = await bench.limiter.hit("new", [REQUESTS], {}, adaptive=Adaptive(), address="addr", on_redis_down="deny")
    assert refused.reason is Reason.UNAVAILABLE
    bench.shared.down = False
    assert (await bench.hit("newer")).allowed


async def test_no_newcomer_waits_longer_than_the_longest_charge() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.001)
    assert (await bench.hit("new")).allowed
    assert (await bench.hit("newer")).retry_after_s == Adaptive().longest_debt_us // SECOND == 540


async def test_each_replica_lets_its_share_of_newcomers_in() -> None:
    bench = Bench(replicas=2)
    bench.lower("addr:newcomers", 0.01)
    assert (await bench.hit("new")).allowed
    assert (await bench.hit("newer")).retry_after_s == 200


async def test_the_sender_without_a_key_pays_as_a_principal_only() -> None:
    bench = Bench()
    bench.lower("addr", 0.5)
    bench.lower("addr:newcomers", 0.001)
    assert sum([(await bench.hit("addr")).allowed for _ in range(15)]) == 10


async def test_an_address_that_behaves_holds_nobody() -> None:
    bench = Bench()
    assert all([(await bench.hit(f"new {number}")).allowed for number in range(50)])


async def test_shadow_mode_lets_pass_and_counts_what_would_have_been_refused() -> None:
    bench = Bench()
    bench.lower("key", 0.1)
    answers = [await bench.hit("key", "shadow") for _ in range(6)]
    assert all(answer.allowed for answer in answers)
    assert [answer.shadowed for answer in answers] == [False, False, True, True, True, True]
    assert answers[-1].factor == 0.1
    assert answers[-1].states[0].remaining == 14


async def test_shadow_mode_counts_newcomers_at_a_misbehaving_address_too() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.01)
    answers = [await bench.hit(f"new {number}", "shadow") for number in range(3)]
    assert [(answer.allowed, answer.shadowed) for answer in answers] == [(True, False), (True, True), (True, True)]


async def test_a_ban_is_an_operators_word_in_shadow_mode_too() -> None:
    bench = Bench()
    bench.shared.known = {"key": Standing(pin=0.0)}
    assert (await bench.hit("key", "shadow")).reason is Reason.BANNED


async def test_without_redis_who_was_banned_stays_banned() -> None:
    bench = Bench()
    bench.lower("key", 1.0, pin=0.0)
    bench.shared.down = True
    assert (await bench.hit("key")).reason is Reason.BANNED


async def test_a_refusal_by_a_limit_that_no_factor_touches_is_no_accusation() -> None:
    bench = Bench()
    bench.lower("key", 0.01)
    small = Limit("daily-tokens", 0.01, 1, "tokens", adaptive=False)
    assert (await bench.hit("key", limit=small)).allowed
    assert (await bench.hit("key", limit=small)).reason is Reason.QUOTA


async def test_without_redis_who_was_contained_stays_contained() -> None:
    bench = Bench()
    bench.lower("key", 0.1)
    bench.shared.down = True
    answers = [await bench.hit("key") for _ in range(6)]
    assert [answer.allowed for answer in answers] == [True, True, False, False, False, False]
    assert answers[-1].reason is Reason.ABNORMAL
    assert answers[-1].degraded


async def test_without_redis_newcomers_share_and_shadow_counts_as_ever() -> None:
    bench = Bench()
    bench.lower("addr:newcomers", 0.01)
    bench.lower("key", 0.1)
    bench.shared.down = True
    assert [(await bench.hit(f"new {number}")).allowed for number in range(4)] == [True, False, False, False]
    answers = [await bench.hit("key", "shadow") for _ in range(4)]
    assert [(answer.allowed, answer.shadowed) for answer in answers] == [(True, True)] * 4


async def test_what_was_admitted_while_redis_was_away_is_told_to_it_once() -> None:
    bench = Bench()
    assert sum([(await bench.hit("key")).allowed for _ in range(5)]) == 5
    bench.shared.down = True
    assert sum([(await bench.hit("key")).allowed for _ in range(20)]) == 15
    bench.shared.down = False
    assert sum([(await bench.hit("key")).allowed for _ in range(10)]) == 0
    bench.now_us += 5 * SECOND
    assert sum([(await bench.hit("key")).allowed for _ in range(10)]) == 5
    bench.now_us += 20 * SECOND
    assert sum([(await bench.hit("key")).allowed for _ in range(30)]) == 20
