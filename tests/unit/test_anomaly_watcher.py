"""The watcher: who is told what after an answer, and what becomes of it while Redis is away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from serving.anomaly.evidence import Evidence
from serving.anomaly.memory import Memory
from serving.anomaly.signals import Signal
from serving.anomaly.standing import Adaptive, Knobs, Standing
from serving.anomaly.state import Observation
from serving.anomaly.store import LocalStates, Observed
from serving.anomaly.watcher import RefusedKey, Sighting, Watcher
from serving.redis_connection import RedisDown

SECOND = 1_000_000
ATTACK = Evidence(injection=1.0, harm=0.0, near_threshold=False)
CLEAN = Evidence(injection=0.0, harm=0.0, near_threshold=False)


class Shared(LocalStates):
    """A store that can be away as Redis can, and remembers what it was told."""

    down = False
    broken = False

    def __init__(self, clock_us: object) -> None:
        super().__init__(clock_us)  # type: ignore[arg-type]
        self.told: list[tuple[str, Sequence[Observation]]] = []

    async def observe(
        self, caller: str, observations: Sequence[Observation], knobs: Knobs, remembered: Standing | None = None
    ) -> Observed:
        if self.down:
            raise RedisDown("down")
        if self.broken:
            raise ZeroDivisionError
        self.told.append((caller, observations))
        return await super().observe(caller, observations, knobs, remembered)

    async def heat(self, fingerprint: int, sender: int) -> float:
        if self.down:
            raise RedisDown("down")
        return await super().heat(fingerprint, sender)


class Bench:
    def __init__(self, capacity: int = 1000) -> None:
        self.now_us = 1_800_000_000 * SECOND
        self.fates: Counter[str] = Counter()
        self.cuts: list[tuple[str, str]] = []
        self.capacity = capacity
        self.shared = Shared(self.clock)
        self.memory = Memory(self.clock)
        self.watcher = self.replica(self.memory)

    def clock(self) -> int:
        return self.now_us

    def replica(self, memory: Memory) -> Watcher:
        return Watcher(
            self.shared,
            LocalStates(self.clock),
            memory,
            address_knobs=Knobs(),
            on_fate=lambda fate, count: self.fates.update({fate: count}),
            on_cut=lambda level, signal: self.cuts.append((level, signal)),
            capacity=self.capacity,
        )

    async def sees(self, principal: str = "key", times: int = 1, **more: object) -> None:
        sighting = replace(Sighting(principal, "addr", Knobs(), ATTACK, 50), **more)  # type: ignore[arg-type]
        for _ in range(times):
            self.now_us += 2 * SECOND
            self.watcher.saw(sighting)
            await self.watcher.drain()


async def test_a_campaign_lowers_its_principal_and_each_cut_is_told_with_its_level_and_signal() -> None:
    bench = Bench()
    await bench.sees(times=12)
    assert bench.memory.factor("key") < 0.1
    assert ("principal", "injection") in bench.cuts
    assert bench.fates == {"observed": 12}
    assert bench.watcher.lowered == 1


async def test_what_waits_is_told_in_one_call_for_each_caller_and_in_order() -> None:
    bench = Bench()
    for tokens in (10, 20, 30):
        bench.watcher.saw(Sighting("key", "addr", Knobs(), CLEAN, tokens))
    await bench.watcher.drain()
    assert [caller for caller, _ in bench.shared.told] == ["key", "addr:newcomers"]
    assert [seen.tokens for seen in bench.shared.told[0][1]] == [10, 20, 30]


async def test_a_sender_without_a_key_is_its_address_and_told_once() -> None:
    bench = Bench()
    await bench.sees("addr")
    ((caller, (seen,)),) = bench.shared.told
    assert (caller, seen.tokens) == ("addr", 50)


async def test_an_address_does_not_pay_for_the_tokens_of_its_keys() -> None:
    bench = Bench()
    await bench.sees("key")
    assert {caller: seen[0].tokens for caller, seen in bench.shared.told} == {"key": 50, "addr:newcomers": 0}


async def test_a_tier_without_adaptive_limits_leaves_no_trace() -> None:
    bench = Bench()
    await bench.sees(knobs=Knobs(Adaptive(mode="off")))
    assert bench.shared.told == []


async def test_a_gateways_key_is_not_counted_by_its_clients_addresses() -> None:
    bench = Bench()
    await bench.sees("gateway", roams=True)
    await bench.sees("person")
    others = {caller: seen[0].other for caller, seen in bench.shared.told if ":" not in caller}
    assert others["gateway"] == 0
    assert others["person"] != 0


async def test_one_attack_from_many_keys_shows_on_each_of_them_and_cuts_none_by_itself() -> None:
    bench = Bench()
    for number in range(20):
        await bench.sees(f"key {number}", address=f"addr {number}", pattern=0x1234)
    await bench.sees("latecomer", times=3, address="addr x", pattern=0x1234)
    assert bench.shared._states["latecomer"].standing.signals[Signal.NEAR_DUPLICATE] == 1
    assert bench.cuts == []


async def test_a_popular_harmless_text_condemns_nobody() -> None:
    bench = Bench()
    for number in range(60):
        await bench.sees(f"key {number}", address=f"addr {number}", pattern=0x1234, evidence=CLEAN)
    assert bench.cuts == []


async def test_keys_that_open_nothing_lower_their_address() -> None:
    bench = Bench()
    for credential in range(1, 12):
        bench.watcher.saw(RefusedKey("addr", credential * 0x9E37_79B9_7F4A_7C15 % 2**64))
    await bench.watcher.drain()
    assert bench.memory.factor("addr") < 1
    assert bench.memory.factor("addr:newcomers") < 1
    assert bench.cuts == [("anonymous", "unknown_keys"), ("address", "unknown_keys")]
    assert bench.fates == {"observed": 11}


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    bench = Bench(capacity=3)
    for _ in range(5):
        bench.watcher.saw(Sighting("key", "addr", Knobs(), ATTACK, 50))
    await bench.watcher.drain()
    assert bench.fates == {"dropped": 2, "observed": 3}


async def test_without_redis_the_same_rule_goes_on_here() -> None:
    bench = Bench()
    bench.shared.down = True
    await bench.sees(times=12, pattern=7)
    assert bench.memory.factor("key") < 0.1
    assert bench.fates == {"local": 12}


async def test_an_outage_frees_nobody_who_was_contained_before_it() -> None:
    bench = Bench()
    await bench.sees(times=12)
    before = bench.memory.factor("key")
    bench.shared.down = True
    await bench.sees(evidence=CLEAN, times=3)
    assert bench.memory.factor("key") == before


async def test_what_was_learnt_while_redis_was_away_counts_once_it_is_back() -> None:
    bench = Bench()
    await bench.sees(evidence=CLEAN, times=3)
    bench.shared.down = True
    await bench.sees(times=12)
    contained = bench.memory.factor("key")
    bench.shared.down = False
    await bench.sees(evidence=CLEAN)
    assert bench.memory.factor("key") == contained < 0.1
    fresh_replica = Memory(bench.clock)
    bench.watcher = bench.replica(fresh_replica)
    await bench.sees(evidence=CLEAN)
    assert fresh_replica.factor("key") == contained


async def test_an_emptied_redis_learns_anew_from_what_is_remembered() -> None:
    bench = Bench()
    await bench.sees(times=12)
    contained = bench.memory.factor("key")
    bench.shared._states.clear()
    await bench.sees(evidence=CLEAN)
    assert bench.memory.factor("key") == contained
    assert bench.shared._states["key"].standing.suspicions[0] > 8


async def test_a_second_outage_does_not_bring_back_what_was_known_in_the_first() -> None:
    bench = Bench()
    bench.shared.down = True
    await bench.sees(evidence=CLEAN)
    bench.shared.down = False
    await bench.sees(times=12)
    contained = bench.memory.factor("key")
    bench.shared.down = True
    await bench.sees(evidence=CLEAN)
    assert bench.memory.factor("key") == contained < 0.1


async def test_a_fault_ends_no_learning(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.shared.broken = True
    learning = asyncio.create_task(bench.watcher.run())
    for _ in range(3):
        bench.watcher.saw(Sighting("key", "addr", Knobs(), ATTACK, 50))
    while bench.fates["failed"] != 3:  # noqa: ASYNC110  the watcher sets no event
        await asyncio.sleep(0)
    bench.shared.broken = False
    bench.watcher.saw(Sighting("key", "addr", Knobs(), ATTACK, 50))
    while not bench.fates["observed"]:  # noqa: ASYNC110  the watcher sets no event
        await asyncio.sleep(0)
    learning.cancel()
    assert "could not be learnt" in caplog.text


async def test_an_older_tale_does_not_undo_what_is_known_and_a_newer_one_does() -> None:
    now_us = 1_800_000_000 * SECOND
    memory = Memory(lambda: now_us)
    offender = Standing(factor=0.01, bad_us=now_us - 60 * SECOND, seen_us=now_us - 60 * SECOND)
    memory.learn("key", offender, now_us, Adaptive())
    memory.learn("key", Standing(seen_us=now_us - 3600 * SECOND), now_us, Adaptive())
    assert memory.factor("key") == 0.01
    memory.learn("key", Standing(seen_us=now_us), now_us, Adaptive())
    assert memory.factor("key") == 1


async def test_the_longest_unheard_of_is_forgotten_first() -> None:
    memory = Memory(lambda: 0, max_callers=2)
    for name in ("a", "b", "a", "c"):
        memory.learn(name, Standing(factor=0.5), 0, Adaptive())
    assert [memory.factor(name) for name in "abc"] == [0.5, 1, 0.5]


async def test_who_has_recovered_is_not_counted_as_lowered() -> None:
    now_us = 0
    memory = Memory(lambda: now_us)
    memory.learn("key", Standing(factor=0.5), 0, Adaptive())
    memory.learn("banned", Standing(pin=0), 0, Adaptive())
    assert memory.lowered == 2
    now_us = 600 * SECOND
    assert memory.lowered == 1


async def test_what_is_remembered_does_not_grow_younger_by_being_asked_for() -> None:
    now_us = 1_800_000_000 * SECOND
    memory = Memory(lambda: now_us)
    memory.learn("key", Standing(factor=0.01, bad_us=now_us), now_us, Adaptive())
    for _ in range(1000):
        recalled = memory.recalled("key")
        assert recalled
        now_us += 300_000  # on its way to Redis and back
        memory.learn("key", Standing(seen_us=5), now_us, Adaptive())
        assert memory.recalled("key") in {recalled.moved(-300_000), None}
    now_us += 300 * SECOND
    assert memory.factor("key") == 1
