"""What newcomers at an address answer for, and who answers for itself."""

from __future__ import annotations

from serving.anomaly.standing import Adaptive, Standing
from serving.anomaly.state import State
from serving.ratelimit import Limit, LocalStorage, RateLimiter
from serving.ratelimit.containment import Containment
from tests.unit.test_anomaly_watcher import CLEAN, SECOND, Bench


async def test_an_established_key_answers_for_itself_and_not_for_its_address() -> None:
    bench = Bench()
    await bench.sees(evidence=CLEAN, times=6)
    bench.now_us += 600 * SECOND
    await bench.sees(times=20)
    assert bench.memory.factor("key") < 0.1
    assert bench.memory.factor("addr:newcomers") == bench.memory.factor("addr") == 1
    assert bench.shared._states["addr:newcomers"].standing.suspicions[0] == 0


async def test_a_new_key_answers_for_its_address_until_it_is_held_itself() -> None:
    bench = Bench()
    await bench.sees(times=40)
    assert bench.memory.factor("addr:newcomers") < 1
    assert bench.shared._states["addr:newcomers"].standing.suspicions[0] < 8
    assert bench.memory.factor("addr") == 1


async def test_what_a_caller_passes_on_counts_by_size_and_number_only() -> None:
    bench = Bench()
    for _ in range(30):
        await bench.sees("agent", own=False, pattern=0x1234, similarity=1.0)
    standing = bench.shared._states["agent"].standing
    assert (standing.score, standing.good, bench.cuts) == (0, 0, [])
    assert bench.shared._patterns == ()
    assert bench.shared._states["agent"].flow > 0


async def test_what_an_operator_says_of_newcomers_is_heard_within_seconds_though_none_is_let_in() -> None:
    bench = Bench()
    await bench.sees(times=12)
    local = LocalStorage(bench.clock)
    containment = Containment(bench.memory, local, recheck=bench.watcher.recheck)
    limiter = RateLimiter(LocalStorage(bench.clock), local, containment=containment)

    async def newcomer(name: str) -> bool:
        answer = await limiter.hit(name, [Limit("requests", 1, 1)], {}, adaptive=Adaptive(), address="addr")
        await bench.watcher.drain()
        return answer.allowed

    assert [await newcomer("a"), await newcomer("b")] == [True, False]
    clean = Standing(since_us=bench.now_us, seen_us=bench.now_us)
    bench.shared._states["addr:newcomers"] = State(clean, turned_us=bench.now_us)
    bench.now_us += 3 * SECOND
    await newcomer("c")
    assert [await newcomer(name) for name in "def"] == [True] * 3
