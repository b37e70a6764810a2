"""The limiter on a real Redis server: shared, exact, and what happens when the server stops, dies or stalls."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serving.ratelimit import Limit, LocalStorage, RateLimiter, Reason, RedisStorage
from serving.redis_breaker import FAILURES_TO_OPEN
from serving.redis_connection import Connection

REQUESTS = Limit("requests", 50 / 3600, 50)  # slow to pay back: a test of seconds sees none of it
TOKENS = Limit("tokens", 10, 100_000, "tokens")


class Bench:
    """One replica: a limiter on its own connection."""

    def __init__(self, state_dir: Path, timeout_s: float) -> None:
        self.degraded = 0
        self.changes: asyncio.Queue[str] = asyncio.Queue()
        self.connection = Connection(None, state_dir, timeout_s=timeout_s, on_breaker=self.changes.put_nowait)
        local = LocalStorage(lambda: time.monotonic_ns() // 1000)
        self.limiter = RateLimiter(RedisStorage(self.connection), local, on_degraded=self._count)

    def _count(self, _choice: str) -> None:
        self.degraded += 1

    async def hits(self, calls: int, principal: str = "p") -> int:
        answers = await asyncio.gather(
            *(self.limiter.hit(principal, [REQUESTS, TOKENS], {"tokens": 3}) for _ in range(calls))
        )
        return sum(answer.allowed for answer in answers)


@asynccontextmanager
async def replica(state_dir: Path, timeout_s: float = 5.0) -> AsyncIterator[Bench]:
    bench = Bench(state_dir, timeout_s)
    async with bench.connection:
        yield bench


async def test_200_concurrent_calls_admit_exactly_the_burst(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        assert await bench.hits(200) == 50
        assert bench.degraded == 0


async def test_two_replicas_on_one_redis_share_a_limit(tmp_path: Path) -> None:
    async with replica(tmp_path) as one, replica(tmp_path) as two:
        assert sum(await asyncio.gather(one.hits(100), two.hits(100))) == 50
        assert one.degraded == two.degraded == 0


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        assert await bench.hits(30) == 30
    async with replica(tmp_path) as bench:
        assert await bench.hits(30) == 20


async def test_a_lease_of_a_finished_request_is_free_for_the_next(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        for number in range(5):
            lease = f"lease{number}"
            assert (await bench.limiter.hit("p", [], {}, concurrent=1, lease_id=lease)).allowed
            assert not (await bench.limiter.hit("p", [], {}, concurrent=1, lease_id="other")).allowed
            bench.limiter.release("p", lease)


async def test_killed_under_load_redis_comes_back_with_its_limits(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        assert await bench.hits(40) == 40
        pid = bench.connection.embedded_pid
        assert pid
        admitted = 0
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        while bench.changes.empty() or bench.changes.get_nowait() != "closed":
            admitted += await bench.hits(5)
            await asyncio.sleep(0.005)
        assert time.monotonic() - killed < 1.5
        assert bench.degraded > 0
        assert bench.connection.embedded_pid not in {None, pid}
        assert admitted == 10  # what was left before the kill, by the warm local limit
        before = bench.degraded
        assert await bench.hits(30) == 0  # Redis knew of the 40, and is told of the 10 in between
        assert bench.degraded == before


async def test_a_stalled_redis_is_given_up_after_the_time_limit_and_asked_again_by_a_probe(tmp_path: Path) -> None:
    async with replica(tmp_path, timeout_s=0.05) as bench:
        await bench.hits(1)
        pid = bench.connection.embedded_pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert await bench.hits(200) == 49
            assert time.monotonic() - started < 1.0  # 200 waits in turn would take 10 s; all gave up together
            assert bench.degraded == 200
            assert bench.changes.get_nowait() == "open"
            assert bench.connection.state.state == "down"
            denied = await bench.limiter.hit("p", [REQUESTS], {}, on_redis_down="deny")
            assert denied.reason is Reason.UNAVAILABLE
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(1.0):
            assert await bench.changes.get() == "closed"
        before = bench.degraded
        await bench.hits(1)
        assert bench.degraded == before


async def _as_a_replica_of_nobody(connection: Connection) -> None:
    await connection.execute("REPLICAOF", "127.0.0.1", "1")


async def _out_of_memory(connection: Connection) -> None:
    await connection.execute("CONFIG", "SET", "maxmemory", "1")


@pytest.mark.parametrize("trouble", [_as_a_replica_of_nobody, _out_of_memory])
async def test_a_redis_that_answers_but_takes_no_write_is_down(
    tmp_path: Path, trouble: Callable[[Connection], Awaitable[None]]
) -> None:
    async with replica(tmp_path) as bench:
        await bench.hits(1)
        await trouble(bench.connection)
        for _ in range(FAILURES_TO_OPEN):
            assert await bench.hits(1) == 1
        assert bench.changes.get_nowait() == "open"
        assert bench.degraded == FAILURES_TO_OPEN


async def test_a_forgotten_script_is_sent_again(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        await bench.hits(1)
        await bench.connection.execute("SCRIPT", "FLUSH")
        assert await bench.hits(200) == 49
        assert bench.degraded == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        ("SET", "weir:lease:{p}", "not a set"),
        ("SET", "weir:debts:{p}", "no names"),
        ("SET", "weir:debts:{p}", "x,y,\0short"),
    ],
)
async def test_a_spoilt_key_degrades_one_principal_and_opens_nothing(
    tmp_path: Path, spoilt: tuple[str, str, str]
) -> None:
    async with replica(tmp_path) as bench:
        await bench.connection.execute(*spoilt)
        for number in range(2 * FAILURES_TO_OPEN):
            await bench.limiter.hit("p", [REQUESTS], {}, concurrent=9, lease_id=str(number))
        assert bench.degraded == 2 * FAILURES_TO_OPEN
        assert bench.connection.state.state == "up"


async def test_every_key_expires_and_lies_in_the_slot_of_its_principal(tmp_path: Path) -> None:
    async with replica(tmp_path) as bench:
        await bench.limiter.hit("who{}", [REQUESTS, TOKENS], {"tokens": 3}, concurrent=2, lease_id="a")
        keys = await bench.connection.execute("KEYS", "weir:*{*")
        assert sorted(key.partition(b"{")[0] for key in keys) == [b"weir:debts:", b"weir:lease:"]
        assert {key.split(b"{")[1].split(b"}")[0] for key in keys} == {b"who%7B%7D"}
        assert all([await bench.connection.execute("PTTL", key) > 0 for key in keys])


async def test_the_key_of_debts_lives_as_long_as_the_longest_of_them_whatever_is_asked_and_forgiven(
    tmp_path: Path,
) -> None:
    async with replica(tmp_path) as bench:
        daily = Limit("daily", 1.0, 86_400, adaptive=False)
        refused_keys = Limit("refused-keys", 1.0, 5)
        await bench.limiter.hit("p", [REQUESTS, daily], {"daily": 7_200})
        await bench.limiter.hit("p", [refused_keys], {})
        storage = RedisStorage(bench.connection)
        for names in (["refused-keys"], ["requests", "x"], ["nobody's"]):
            assert 7_190_000 < await bench.connection.execute("PTTL", "weir:debts:{p}") <= 7_201_000
            await storage.forgive("p", names)
        assert list(await storage.debts("p")) == ["daily"]
        await storage.forgive("p", ["daily"])
        assert await bench.connection.execute("EXISTS", "weir:debts:{p}") == 0


@pytest.mark.parametrize(
    "spoilt", [b"no names", b"x,y,\0short", b"\xff,\0" + 8 * b"\0", b"x,\0" + struct.pack("<d", math.inf)]
)
async def test_spoilt_debts_are_forgiven_as_others_are(tmp_path: Path, spoilt: bytes) -> None:
    async with replica(tmp_path) as bench:
        await bench.connection.execute("SET", "weir:debts:{p}", spoilt)
        storage = RedisStorage(bench.connection)
        assert await storage.debts("p") == {}
        await storage.forgive("p", ["x"])
        assert await bench.hits(1) == 1
        assert bench.degraded == 0


@pytest.mark.parametrize("reply", ["return 'ok'", "return {1, 0}", "return string.rep('x', 57)", "return 7"])
async def test_a_script_that_answers_in_an_unknown_shape_counts_as_redis_trouble(tmp_path: Path, reply: str) -> None:
    async with Connection(None, tmp_path, timeout_s=1.0) as connection:
        local = LocalStorage(lambda: 0)
        limiter = RateLimiter(RedisStorage(connection, script=reply), local)
        admission = await limiter.hit(
            "p", [Limit("requests", 1.0, 5)], {"requests": 1}, concurrent=2, lease_id="l", on_redis_down="deny"
        )
    assert not admission.allowed
    assert admission.reason is Reason.UNAVAILABLE
