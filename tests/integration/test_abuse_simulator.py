"""The abuse simulator on a real Redis: its clock drives the scripts, and it judges what is deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.abuse import experiments
from benchmarks.abuse.clock import VirtualClock, VirtualConnection, on_virtual_time
from benchmarks.abuse.experiments import Stage, attack, open_stage, people
from benchmarks.abuse.ours import Ours, open_ours
from benchmarks.abuse.peers import PlainGcra
from benchmarks.abuse.population import Span, population
from benchmarks.abuse.traffic import MINUTE, SECOND, Ask, Sender, Texts, chat_tokens, key
from benchmarks.abuse.world import run
from serving import admission
from serving.anomaly.standing import Adaptive
from serving.anomaly.store import read_script as read_anomaly_script
from serving.ratelimit.limits import Charge, Demand, Limit
from serving.ratelimit.redis import RedisStorage
from serving.ratelimit.redis import read_script as read_limit_script
from serving.redis_connection import Script

ONE = Demand((Charge(Limit("requests", 1.0, 3), 1.0),), concurrent=2, lease_id="lease")
SHORT = Span(0, 2 * MINUTE, 6 * MINUTE, 8 * MINUTE)


@pytest.fixture
async def virtual(tmp_path: Path) -> AsyncIterator[tuple[VirtualClock, VirtualConnection]]:
    clock = VirtualClock()
    async with VirtualConnection(clock, tmp_path) as connection:
        yield clock, connection


@pytest.fixture(scope="module")
def stage() -> Stage:
    return open_stage(None)


def without_adaptation(stage: Stage) -> Stage:
    """Every tier in shadow mode: watched, never lowered."""
    policy = stage.policy
    tiers = {name: replace(tier, adaptive=Adaptive(mode="shadow")) for name, tier in policy.tiers.items()}
    return replace(stage, policy=replace(policy, tiers=tiers))


@pytest.mark.parametrize(
    "call", ["redis.call('TIME')", "redis.pcall('TIME')", "(function() local c = redis.call return c('TIME') end)()"]
)
async def test_a_script_is_told_the_virtual_time_however_it_asks(
    virtual: tuple[VirtualClock, VirtualConnection], call: str
) -> None:
    clock, connection = virtual
    clock.advance_to(90 * SECOND + 7)
    seconds, micros = await connection.run_script(Script(f"return {call}"), (), ())
    assert int(seconds) * SECOND + int(micros) == clock.now_us == clock.start_us + 90 * SECOND + 7


@pytest.mark.parametrize(
    "text", [read_limit_script(), read_anomaly_script("observe.lua"), read_anomaly_script("patterns.lua")]
)
def test_the_production_scripts_run_unchanged(text: str) -> None:
    assert on_virtual_time(text).endswith(text)


async def test_room_comes_back_when_the_virtual_clock_moves_and_not_before(
    virtual: tuple[VirtualClock, VirtualConnection],
) -> None:
    clock, connection = virtual
    storage = RedisStorage(connection)
    demand = replace(ONE, concurrent=0)
    answers = [await storage.hit("p", demand) for _ in range(4)]
    assert [each.admitted for each in answers] == [True, True, True, False]
    assert {each.now_us for each in answers} == {clock.now_us}
    clock.advance_to(SECOND - 1)
    assert not (await storage.hit("p", demand)).admitted
    clock.advance_to(SECOND)
    assert (await storage.hit("p", demand)).admitted


async def test_what_lapses_lapses_on_virtual_time(virtual: tuple[VirtualClock, VirtualConnection]) -> None:
    clock, connection = virtual
    script = Script("redis.call('SET', KEYS[1], ARGV[1], 'PX', '1500') return redis.call('GET', KEYS[1])")
    read = Script("return redis.call('GET', KEYS[1])")
    assert await connection.run_script(script, ("k",), ("v",)) == b"v"
    clock.advance_to(SECOND)
    assert await connection.run_script(read, ("k",), ()) == b"v"
    clock.advance_to(2 * SECOND)
    assert await connection.run_script(read, ("k",), ()) is None
    assert await connection.execute("PTTL", "k") == -2


async def test_a_lease_lapses_on_virtual_time(virtual: tuple[VirtualClock, VirtualConnection]) -> None:
    clock, connection = virtual
    storage = RedisStorage(connection)
    hits = [await storage.hit("p", replace(ONE, lease_id=f"lease-{at}")) for at in range(3)]
    assert [hit.full for hit in hits] == [False, False, True]
    clock.advance_to(61 * SECOND)
    assert (await storage.hit("p", replace(ONE, lease_id="later"))).admitted


async def test_plain_gcra_is_what_the_deployed_limiter_does_while_nothing_adapts(stage: Stage) -> None:
    watched = without_adaptation(stage)
    plain = await run(PlainGcra(stage.policy, VirtualClock()), population(1, SHORT, 0.1))
    async with open_ours(watched.policy, watched.corpus, watched.pool) as (gate, _):
        ours = await run(gate, population(1, SHORT, 0.1))
    known = [at for at, fate in enumerate(plain.fates) if fate.ask.known]
    assert len(known) > 100
    assert [ours.fates[at].reply.admitted for at in known] == [plain.fates[at].reply.admitted for at in known]


async def test_what_an_answer_teaches_is_known_only_after_the_answer(stage: Stage) -> None:
    texts = Texts(Random(1), "injection", attack=True)
    async with open_ours(stage.policy, stage.corpus, stage.pool) as (gate, _):
        burst = [await gate.ask(Ask(at * 1000, key("k", "a"), texts.fresh(), 10, malicious=True)) for at in range(19)]
        assert all(reply.admitted and reply.score == 0 and reply.factor == 1 for reply in burst)
        later = await gate.ask(Ask(SECOND, key("k", "a"), texts.fresh(), 10, malicious=True))
    assert later.score > 0


async def test_a_caller_without_offence_keeps_all_room(stage: Stage) -> None:
    def calm() -> Sender:
        draw = Random(3)
        texts = Texts(draw, "plain")
        asks = (Ask(at * 5 * SECOND, key("k", "a"), texts.fresh(), chat_tokens(draw)) for at in range(100))
        return Sender("calm", asks)  # type: ignore[arg-type]

    async with open_ours(stage.policy, stage.corpus, stage.pool) as (gate, _):
        found = await run(gate, [calm()])
        assert await room(gate) == (1.0, True)
    assert all(fate.reply.admitted and fate.reply.factor == 1 for fate in found.fates)


async def room(gate: Ours) -> tuple[float, bool]:
    await gate.settle(60 * MINUTE)
    return await gate.room(key("k", "a"))


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a few minutes: the figures mean nothing, the machinery is all there."""
    monkeypatch.setattr(experiments, "WARM_UP", 2 * MINUTE)
    monkeypatch.setattr(experiments, "AFTER", 11 * MINUTE)
    attackers = {name: replace(each, minutes=4) for name, each in experiments.ATTACKERS.items()}
    monkeypatch.setattr(experiments, "ATTACKERS", attackers)


@pytest.mark.usefixtures("brief")
def test_spam_is_contained_here_and_not_by_the_peers_and_room_comes_back(stage: Stage) -> None:
    found = attack(stage, "spam", 1)
    assert found.figures.admitted["ours"] < 20 < 100 < found.figures.admitted["plain GCRA"]
    assert found.figures.contained_after is not None
    assert found.figures.recovered_s is not None
    assert found.figures.recovered_s <= 600
    assert found.cuts


@pytest.mark.usefixtures("brief")
def test_the_same_seed_gives_the_same_figures(stage: Stage) -> None:
    one, again = (attack(stage, "rotation, 5 a key", 3, flask=False) for _ in range(2))
    assert one == again


@pytest.mark.usefixtures("brief")
def test_the_honest_are_counted_by_group_and_redis_by_caller(stage: Stage) -> None:
    found = people(stage, 1, company=False, scale=0.05)
    assert {"people", "office of 200", "security team"} <= {group.group for group in found.groups}
    assert 1 < found.footprint.calls_per_request <= 4
    assert found.footprint.most_bytes > 500


def test_the_limits_of_a_tier_are_the_deployed_ones(stage: Stage) -> None:
    names = [limit.name for limit in admission.limits(stage.policy.tier("authenticated"))]
    assert names == ["requests", "tokens", "daily-tokens"]
