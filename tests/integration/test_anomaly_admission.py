"""Admission that reads behaviour in its one call: Redis against the reference, and what nobody may lose by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.anomaly.evidence import Evidence
from serving.anomaly.memory import Memory
from serving.anomaly.rule import Knobs, Observation, Standing
from serving.anomaly.signals import SIGNALS
from serving.anomaly.standing import Adaptation, Adaptive, counting
from serving.anomaly.store import LocalStates, RedisStates, read_script
from serving.anomaly.watcher import Sighting, Watcher
from serving.ratelimit import Admission, RateLimiter, Reason
from serving.ratelimit import redis as redis_storage
from serving.ratelimit.containment import Containment
from serving.ratelimit.limits import Charge, Demand, Limit, Weighed
from serving.ratelimit.redis import RedisStorage
from serving.ratelimit.storage import LocalStorage
from serving.redis_connection import Connection
from serving.redis_keys import debts_key, lease_key, risk_key
from tests.integration.test_anomaly_stores import observations
from tests.integration.test_ratelimit_storages import CLOCK_IN_A_LIST, START_US, patient_connection

REQUESTS = Limit("requests", 1, 6)
TOKENS = Limit("tokens", 100, 1_000, "tokens")
BUDGET = Limit("daily-tokens", 10, 50_000, "tokens", adaptive=False)
CAMPAIGN = [Observation(injection=1.0, tokens=50)] * 8
GOOD = [Observation(tokens=50)]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def connection(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with patient_connection(runner, tmp_path_factory.mktemp("redis")) as connection:
        yield connection


class Pair:
    """Redis and the reference, both with limits and behaviour, on one clock that the test turns."""

    def __init__(self, runner: asyncio.Runner, connection: Connection) -> None:
        self.runner = runner
        self.connection = connection
        self.now_us = START_US
        self.states = RedisStates(connection, observe=CLOCK_IN_A_LIST + read_script("observe.lua"))
        self.storage = RedisStorage(connection, script=CLOCK_IN_A_LIST + redis_storage.read_script())
        self.local_states = LocalStates(lambda: self.now_us)
        self.local_storage = LocalStorage(lambda: self.now_us)
        self.turn(0)

    def turn(self, by_us: int) -> None:
        self.now_us += by_us
        seconds, rest = divmod(self.now_us, 1_000_000)
        self.runner.run(self.connection.execute("DEL", "test:clock", timeout_s=5))
        self.runner.run(self.connection.execute("RPUSH", "test:clock", seconds, rest, timeout_s=5))

    def observe(self, caller: str, seen: list[Observation], knobs: Knobs, remembered: Standing | None = None) -> None:
        counts = remembered and remembered.unpinned
        ours = self.runner.run(self.local_states.observe(caller, seen, knobs, counts))
        assert self.runner.run(self.states.observe(caller, seen, knobs, remembered)) == ours

    def hit(self, caller: str, demand: Demand) -> Weighed:
        """As Redis answers; the reference must answer the same when it is told what Redis has of the caller."""
        state, told = self.local_states._states.get(caller), demand
        if demand.adaptation:
            remembered = demand.adaptation.remembered
            counts = counting(state and state.standing, remembered and remembered.unpinned, self.now_us)
            told = replace(
                demand, adaptation=replace(demand.adaptation, remembered=counts and counts.moved(-self.now_us))
            )
        ours = self.runner.run(self.local_storage.hit(caller, told))
        theirs = self.runner.run(self.storage.hit(caller, demand))
        assert theirs.standing == (state.standing if state and demand.adaptation else None)
        assert replace(theirs, now_us=0, standing=None) == replace(ours, now_us=0)
        return theirs


memories = st.none() | st.builds(
    Standing,
    factor=st.sampled_from([0.001, 0.2]),
    bad_us=st.integers(-700_000_000, 0),
    since_us=st.integers(-900_000_000, -700_000_000),
    good=st.sampled_from([0, 1, 5]),
    pin=st.sampled_from([-1.0, -1.0, 0.0, 0.5]),
    seen_us=st.just(0),
    suspicions=st.just((3.0,) * len(SIGNALS)),
)
adaptations = st.builds(
    Adaptation,
    adaptive=st.builds(
        Adaptive,
        mode=st.sampled_from(["enforce", "enforce", "shadow"]),
        floor=st.sampled_from([0.001, 0.05]),
        ceiling=st.sampled_from([1.0, 0.9]),
        cool_down_s=st.sampled_from([560.0, 3.0]),
    ),
    remembered=memories,
    address_factor=st.sampled_from([1.0, 0.3, 0.0001]),
    address_wait_us=st.sampled_from([0, 0, 5_000_000]),
    address_trouble_us=st.sampled_from([0, -5_000_000, -700_000_000]),
)
step = st.tuples(
    st.one_of(st.integers(-400_000, 4_000_000), st.integers(0, 900_000_000)),
    st.sampled_from(["a", "b"]),
    st.lists(observations, max_size=3) | st.just(CAMPAIGN),
    st.tuples(st.integers(0, 3), st.integers(0, 900)),
    adaptations,
    st.sampled_from([1.0, 0.5]),
    st.integers(0, 2),
    st.sampled_from([(), (0, 0, 0), (2_000_000, 0, 5_000_000)]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(step, max_size=20))
def test_redis_and_the_reference_price_every_history_alike(
    history: list[tuple[int, str, list[Observation], tuple[int, int], Adaptation, float, int, tuple[int, ...]]],
    runner: asyncio.Runner,
    connection: Connection,
) -> None:
    pair, prefix = Pair(runner, connection), uuid4().hex
    for number, (wait, who, seen, (requests, tokens), adaptation, factor, concurrent, known) in enumerate(history):
        pair.turn(wait)
        if seen:
            pair.observe(prefix + who, seen, Knobs(adaptation.adaptive), adaptation.remembered)
        demand = Demand(
            (Charge(REQUESTS, requests), Charge(TOKENS, tokens), Charge(BUDGET, tokens)),
            factor=factor,
            concurrent=concurrent,
            lease_id=f"lease{number}",
            lease_us=3_000_000,
            adaptation=adaptation,
            known_us=known,
        )
        pair.hit(prefix + who, demand)


def one(adaptation: Adaptation | None = None, tokens: float = 10) -> Demand:
    return Demand((Charge(REQUESTS, 1), Charge(TOKENS, tokens)), adaptation=adaptation or Adaptation())


@pytest.fixture
def pair(runner: asyncio.Runner, connection: Connection) -> Pair:
    return Pair(runner, connection)


def test_a_contained_caller_gets_one_request_in_nine_minutes_and_owes_nothing_ten_minutes_after(pair: Pair) -> None:
    caller = uuid4().hex
    for _ in range(3):
        pair.observe(caller, CAMPAIGN, Knobs())
        pair.turn(1_000_000)
    assert pair.hit(caller, one(tokens=900)).admitted
    refused = pair.hit(caller, one())
    assert max(row.retry_us for row in refused.rows) == 540_000_000
    pair.turn(539_000_000)
    assert not pair.hit(caller, one(tokens=900)).admitted
    pair.turn(61_000_000)
    after = pair.hit(caller, one(tokens=0))
    assert (after.price.factor, after.rows[0].remaining, after.rows[1].remaining) == (1, 5, 1_000)


def test_a_debt_made_at_a_low_factor_is_not_forgiven_while_the_factor_recovers(pair: Pair) -> None:
    caller, knobs = uuid4().hex, Knobs(Adaptive(cool_down_s=1, recovery_s=500))
    for _ in range(3):
        pair.observe(caller, CAMPAIGN, knobs)
        pair.turn(1_000_000)
    assert pair.hit(caller, one(Adaptation(knobs.adaptive))).admitted
    pair.turn(250_000_000)
    refused = pair.hit(caller, one(Adaptation(knobs.adaptive)))
    assert 0.4 < refused.price.factor < 0.6
    assert refused.rows[0].ahead_us > 190_000_000


def test_a_state_takes_less_than_a_kilobyte_and_a_principal_with_all_its_keys_less_than_two(
    runner: asyncio.Runner, connection: Connection
) -> None:
    caller, knobs = "key_" + uuid4().hex[:16], Knobs()
    states, storage = RedisStates(connection), RedisStorage(connection)
    charges = (Charge(REQUESTS, 1), Charge(TOKENS, 10), Charge(BUDGET, 10))
    keys = [risk_key(caller), lease_key(caller), debts_key(caller)]
    for number in range(300):
        busy = Observation(injection=0.3, tokens=50, other=(number + 1) << 40 | number, pattern=number + 1)
        runner.run(states.observe(caller, [busy], knobs))
    for number in range(6):
        demand = Demand(charges, concurrent=9, lease_id=f"lea_{number:032x}", adaptation=Adaptation())
        assert runner.run(storage.hit(caller, demand)).admitted
    sizes = {key: runner.run(connection.execute("MEMORY", "USAGE", key)) for key in keys}
    assert sizes[risk_key(caller)] <= 1024
    assert sum(sizes.values()) <= 2048
    assert all(runner.run(connection.execute("PTTL", key)) > 0 for key in keys)


def test_a_pin_outlives_a_day_and_a_reset_leaves_nothing(runner: asyncio.Runner, connection: Connection) -> None:
    async def scenario() -> None:
        caller, states = uuid4().hex, RedisStates(connection)
        storage = RedisStorage(connection)
        await states.pin(caller, 0)
        assert (await storage.hit(caller, one())).price.banned
        await states.observe(caller, CAMPAIGN, Knobs())
        assert (await storage.hit(caller, one())).price.banned
        assert await connection.execute("PTTL", risk_key(caller)) == -1
        await states.pin(caller, None)
        assert await connection.execute("PTTL", risk_key(caller)) > 0
        state = await states.read(caller)
        assert state
        assert state.standing.score > 0
        await states.reset(caller)
        known = Adaptation(remembered=Standing(factor=0.1, bad_us=-60_000_000))
        assert (await storage.hit(caller, one(known))).price.factor == 1
        assert (await storage.hit(uuid4().hex, one(known))).price.factor == 0.1
        with pytest.raises(ValueError, match="pinned factor"):
            await states.pin(caller, 1.5)

    runner.run(scenario())


def test_strangers_without_suspicion_are_forgotten_after_an_hour_and_others_after_a_day(
    runner: asyncio.Runner, connection: Connection
) -> None:
    async def lifetime_s(seen: list[Observation]) -> float:
        caller = uuid4().hex
        await RedisStates(connection).observe(caller, seen, Knobs())
        return await connection.execute("PTTL", risk_key(caller)) / 1000

    assert runner.run(lifetime_s(GOOD)) == pytest.approx(3600, abs=60)
    assert runner.run(lifetime_s([Observation(other=1 << 60, unknown_key=True)])) == pytest.approx(3600, abs=60)
    assert runner.run(lifetime_s(GOOD * 5)) == pytest.approx(86_400, abs=60)
    assert runner.run(lifetime_s(CAMPAIGN[:3])) == pytest.approx(86_400, abs=60)


def test_a_lifted_ban_does_not_come_back_from_a_replicas_memory(runner: asyncio.Runner, connection: Connection) -> None:
    async def scenario() -> None:
        caller, states, now = uuid4().hex, RedisStates(connection), lambda: time.monotonic_ns() // 1000
        memory, local = Memory(now), LocalStorage(now)
        limiter = RateLimiter(RedisStorage(connection), local, containment=Containment(memory, local))
        watcher = Watcher(states, LocalStates(now), memory, address_knobs=Knobs())

        async def hit() -> Admission:
            return await limiter.hit(caller, [REQUESTS], {}, adaptive=Adaptive())

        await states.pin(caller, 0)
        assert (await hit()).reason is Reason.BANNED
        assert memory.recalled(caller)
        await states.pin(caller, None)
        await connection.execute("DEL", risk_key(caller))  # as after a day in which nobody saw the caller
        assert (await hit()).allowed
        assert memory.recalled(caller) is None
        memory.learn(caller, Standing(pin=0.0, seen_us=now()), now(), Adaptive())
        watcher.saw(Sighting(caller, "elsewhere", Knobs(), Evidence(0.0, 0.0, near_threshold=False), 10))
        await watcher.drain()
        assert (await hit()).allowed

    runner.run(scenario())


attack_on_a = st.lists(st.tuples(st.integers(0, 3_000_000), observations), min_size=1, max_size=15)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attack=attack_on_a)
def test_no_attack_on_one_principal_lowers_the_room_of_another(
    attack: list[tuple[int, Observation]], runner: asyncio.Runner, connection: Connection
) -> None:
    pair, alone = Pair(runner, connection), Pair(runner, connection)
    attacker, bystander, control = uuid4().hex, uuid4().hex, uuid4().hex
    for wait, seen in attack:
        pair.turn(wait)
        alone.now_us = pair.now_us
        pair.observe(attacker, [seen] * 5, Knobs())
        pair.hit(attacker, one())
        pair.observe(bystander, GOOD, Knobs())
        pair.observe(control, GOOD, Knobs())
    with_attack, without = pair.hit(bystander, one()), alone.runner.run(alone.storage.hit(control, one()))
    assert with_attack.rows == without.rows
    assert with_attack.price == without.price
