"""The limiter's choice with and without Redis, and the headers of its answers."""

from __future__ import annotations

import asyncio

import pytest

from serving.begun import Begun
from serving.ratelimit import Admission, Limit, LocalStorage, RateLimiter, Reason, headers
from serving.ratelimit.limits import Charge, Demand, Row, Weighed
from serving.redis_connection import RedisDown

REQUESTS = Limit("requests", 5 / 60, 5)
TOKENS = Limit("tokens", 100, 1_000, "tokens")


class Switchable(LocalStorage):
    """A storage that can be down as Redis can."""

    down = False
    gate: asyncio.Event | None = None

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise RedisDown("down")
        return await super().hit(principal, demand)

    def release(self, principal: str, lease_id: str) -> None:
        if not self.down:
            super().release(principal, lease_id)


class Bench:
    def __init__(self, replicas: int = 1, max_principals: int = 100) -> None:
        self.now_us = 0
        self.degraded: list[str] = []
        self.shared = Switchable(lambda: self.now_us)
        local = LocalStorage(lambda: self.now_us, max_principals=max_principals)
        self.limiter = RateLimiter(self.shared, local, replicas=replicas, on_degraded=self.degraded.append)

    async def count(self, calls: int = 20, **more: object) -> int:
        return sum([(await self.limiter.hit("p", [REQUESTS], {}, **more)).allowed for _ in range(calls)])  # type: ignore[arg-type]


async def test_the_fallback_starts_from_what_was_used_before_redis_went_away() -> None:
    bench = Bench()
    assert await bench.count(3) == 3
    bench.shared.down = True
    assert await bench.count() == 2
    assert bench.degraded == ["local"] * 20


async def test_the_fallback_gives_each_replica_its_share() -> None:
    bench = Bench(replicas=2)
    bench.shared.down = True
    assert await bench.count() == 2
    bench.now_us = 24_000_000  # two of five a minute would have come back, so one of our half
    assert await bench.count() == 1


async def test_more_replicas_than_burst_still_let_somebody_through() -> None:
    bench = Bench(replicas=50)
    bench.shared.down = True
    assert await bench.count() == 1


async def test_deny_refuses_without_redis_and_says_so() -> None:
    bench = Bench()
    bench.shared.down = True
    admission = await bench.limiter.hit("p", [REQUESTS], {}, on_redis_down="deny")
    assert admission == Admission(allowed=False, reason=Reason.UNAVAILABLE, degraded=True)
    assert bench.degraded == ["deny"]
    assert headers(admission) == {}


async def test_a_full_fallback_denies_strangers_as_unavailable() -> None:
    bench = Bench(max_principals=1)
    bench.shared.down = True
    assert await bench.count(1) == 1
    assert (await bench.limiter.hit("q", [REQUESTS], {})).reason is Reason.UNAVAILABLE


async def test_a_cost_beyond_the_burst_is_told_apart_from_a_used_up_limit() -> None:
    bench = Bench()
    admission = await bench.limiter.hit("p", [REQUESTS, TOKENS], {"tokens": 1_001})
    assert admission.reason is Reason.TOO_COSTLY
    assert "Retry-After" not in headers(admission)
    assert await bench.count() == 5


async def test_a_lease_taken_while_redis_was_away_can_be_released() -> None:
    bench = Bench()
    bench.shared.down = True

    async def take(lease: str) -> bool:
        return (await bench.limiter.hit("p", [], {}, concurrent=1, lease_id=lease)).allowed

    assert [await take("a"), await take("b")] == [True, False]
    bench.limiter.release("p", "a")
    assert await take("b")


async def test_no_limits_ask_nobody() -> None:
    bench = Bench()
    bench.shared.down = True
    assert await bench.limiter.hit("p", [], {}) == Admission(allowed=True)


async def test_headers_of_an_admitted_request_name_every_limit() -> None:
    bench = Bench()
    admission = await bench.limiter.hit("p", [REQUESTS, TOKENS], {"tokens": 250}, concurrent=4, lease_id="a")
    assert headers(admission) == {
        "RateLimit-Policy": '"requests";q=5;w=60, "tokens";q=1000;qu="tokens";w=10, '
        '"concurrent";q=4;qu="concurrent-requests"',
        "RateLimit": '"requests";r=4;t=12, "tokens";r=750;t=1, "concurrent";r=3',
        "RateLimit-Limit": "1000",
        "RateLimit-Remaining": "750",
        "RateLimit-Reset": "3",
    }


async def test_headers_of_a_refused_request_say_when_to_come_back() -> None:
    bench = Bench()
    await bench.count(5)
    admission = await bench.limiter.hit("p", [REQUESTS, TOKENS], {"tokens": 10})
    assert admission.violated == ("requests",)
    assert headers(admission) == {
        "RateLimit-Policy": '"requests";q=5;w=60, "tokens";q=1000;qu="tokens";w=10',
        "RateLimit": '"requests";r=0;t=12, "tokens";r=1000',
        "RateLimit-Limit": "5",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": "60",
        "Retry-After": "12",
    }


async def test_a_factor_shows_in_the_room_and_not_in_the_policy() -> None:
    bench = Bench()
    fields = headers(await bench.limiter.hit("p", [REQUESTS], {}, factor=0.4))
    assert fields["RateLimit-Policy"] == '"requests";q=5;w=60'
    assert fields["RateLimit"] == '"requests";r=1;t=30'


@pytest.mark.parametrize("used", range(6))
async def test_retry_after_is_never_earlier_than_t(used: int) -> None:
    bench = Bench()
    await bench.count(used)
    admission = await bench.limiter.hit("p", [REQUESTS], {"requests": 3})
    fields = headers(admission)
    if not admission.allowed:
        assert int(fields["Retry-After"]) >= int(fields["RateLimit"].rpartition("t=")[2])


def charged(storage: LocalStorage, principal: str) -> None:
    """Another storage has admitted one request of the principal, and what was untold is told to it."""
    demand = Demand((Charge(REQUESTS, 1),), known_us=storage.untold(principal, (Charge(REQUESTS, 1),)))
    storage.mirror(principal, demand, Weighed(True, (Row(12_000_000, 4, 0),), 0, False))


def untold(storage: LocalStorage, *principals: str) -> list[bool]:
    return [storage.untold(principal, (Charge(REQUESTS, 1),)) != () for principal in principals]


def test_what_a_lost_part_may_have_missed_is_told_to_it_once_and_to_no_other_part() -> None:
    storage = LocalStorage(lambda: 0, shard_of=lambda principal: principal[0])
    for principal in ("a1", "a2", "b1"):
        charged(storage, principal)
    storage.doubt("a1")
    assert untold(storage, "a1", "a2", "b1") == [True, True, False]
    charged(storage, "a2")
    assert untold(storage, "a1", "a2", "b1") == [True, False, False]


def test_who_moves_to_another_part_tells_it_what_is_owed() -> None:
    parts = {"a": "north"}
    storage = LocalStorage(lambda: 0, shard_of=parts.__getitem__)
    charged(storage, "a")
    assert untold(storage, "a") == [False]
    parts["a"] = "south"
    assert untold(storage, "a") == [True]


async def test_room_is_expected_of_a_known_principal_that_has_some() -> None:
    bench = Bench()
    asked = ("p", [REQUESTS], {"requests": 2}, 2)
    assert not bench.limiter.expects_room(*asked)  # nobody knows it yet
    await bench.limiter.hit("p", [REQUESTS], {"requests": 3}, concurrent=2, lease_id="a")
    assert bench.limiter.expects_room(*asked)
    await bench.limiter.hit("p", [REQUESTS], {}, concurrent=2, lease_id="b")
    assert not bench.limiter.expects_room(*asked)  # both its leases are out, and one unit is left
    bench.limiter.release("p", "a")
    assert not bench.limiter.expects_room(*asked)
    assert bench.limiter.expects_room("p", [REQUESTS], {}, 2)
    bench.now_us = 12_000_000
    assert bench.limiter.expects_room(*asked)


async def test_no_room_is_expected_of_who_was_refused_for_whatever_reason() -> None:
    bench = Bench()
    await bench.limiter.hit("p", [REQUESTS], {})
    demand = Demand((Charge(REQUESTS, 1),))
    bench.limiter._local.mirror("p", demand, Weighed(False, (Row(0, 4, 0),), 0, False))  # a ban, say
    assert not bench.limiter.expects_room("p", [REQUESTS], {}, 2)
    bench.now_us = 1_000_000
    assert bench.limiter.expects_room("p", [REQUESTS], {}, 2)


async def test_what_is_on_its_way_counts_when_room_is_expected() -> None:
    bench = Bench()
    await bench.limiter.hit("p", [REQUESTS], {})
    bench.shared.gate = asyncio.Event()
    going = []
    for expected in (True, True, True, True, False):
        going.append(Begun(bench.limiter.hit("p", [REQUESTS], {})))
        assert bench.limiter.expects_room("p", [REQUESTS], {}, 0) == expected
    bench.shared.gate.set()
    assert [(await each).allowed for each in going] == [True, True, True, True, False]
    assert not bench.limiter._asking
