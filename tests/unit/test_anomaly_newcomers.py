"""What newcomers at an address answer for, and who answers for itself."""

from __future__ import annotations

from dataclasses import replace

from serving.anomaly.standing import Adaptive, Knobs, Standing
from serving.anomaly.state import State
from serving.anomaly.watcher import Sighting
from serving.ratelimit import Limit, LocalStorage, RateLimiter
from serving.ratelimit.containment import Containment
from tests.unit.test_anomaly_watcher import ATTACK, CLEAN, SECOND, Bench


async def test_an_established_key_answers_for_itself_and_not_for_its_address() -> None:
    bench = Bench()
    await bench.sees(evidence=CLEAN, times=6)
    bench.now_us += 600 * SECOND
    await bench.sees(times=20)
    assert bench.memory.factor("key") < 0.1
    assert bench.memory.factor("addr:newcomers") == bench.memory.factor("addr") == 1
    assert bench.shared._states["addr:newcomers"].standing.suspicions[0] == 0


async def test_a_new_key_accuses_its_address_until_it_is_suspected_itself_and_never_alone() -> None:
    for evidence in (ATTACK, replace(ATTACK, harm=1.0), replace(ATTACK, injection=0.9, near_threshold=True)):
        bench = Bench()
        await bench.sees(times=40, evidence=evidence, similarity=1.0)
        assert bench.memory.factor("key") < 0.1
        assert bench.memory.factor("addr:newcomers") == bench.memory.factor("addr") == 1
        assert 2 < max(bench.shared._states["addr:newcomers"].standing.suspicions) < 6


async def test_not_even_a_burst_that_is_learnt_from_at_once_lets_one_key_accuse_its_address_alone() -> None:
    bench = Bench()
    for _ in range(40):
        bench.watcher.saw(Sighting("key", "addr", Knobs(), ATTACK, 50))
    await bench.watcher.drain()
    assert bench.memory.factor("key") < 1
    assert bench.memory.factor("addr:newcomers") == 1


async def test_attacks_among_good_texts_do_not_add_up_at_the_address_of_one_key() -> None:
    bench = Bench()
    for _ in range(200):
        await bench.sees(evidence=ATTACK)
        await bench.sees(evidence=CLEAN)
    assert bench.memory.factor("addr:newcomers") == 1


async def test_two_new_keys_accuse_their_address() -> None:
    bench = Bench()
    await bench.sees("one", times=7)
    await bench.sees("two", times=7)
    assert bench.memory.factor("addr:newcomers") < 1


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
    await bench.sees("one", times=7)
    await bench.sees("two", times=7)
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
