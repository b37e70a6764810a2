"""The rule in Python and the rule in Redis are one rule: random histories, and what only Redis has."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.anomaly.rule import Adaptive, Knobs, Level, Observation
from serving.anomaly.store import LocalStates, RedisStates, read_script
from serving.redis_connection import Connection
from serving.redis_keys import PATTERNS
from tests.integration.test_ratelimit_storages import CLOCK_IN_A_LIST, START_US, patient_connection

ATTACK = Observation(injection=1.0, tokens=100, other=7)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def connection(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with patient_connection(runner, tmp_path_factory.mktemp("redis")) as connection:
        yield connection


class Pair:
    """Both stores on one clock that the test turns."""

    def __init__(self, runner: asyncio.Runner, connection: Connection) -> None:
        self.runner = runner
        self.connection = connection
        self.now_us = START_US
        self.redis = RedisStates(
            connection,
            observe=CLOCK_IN_A_LIST + read_script("observe.lua"),
            patterns=CLOCK_IN_A_LIST + read_script("patterns.lua"),
        )
        self.local = LocalStates(lambda: self.now_us)
        runner.run(connection.execute("DEL", PATTERNS, timeout_s=5))

    def turn(self, by_us: int) -> None:
        self.now_us += by_us
        seconds, rest = divmod(self.now_us, 1_000_000)
        self.runner.run(self.connection.execute("DEL", "test:clock", timeout_s=5))
        self.runner.run(self.connection.execute("RPUSH", "test:clock", seconds, rest, timeout_s=5))


def share(most: float = 1.0) -> st.SearchStrategy[float]:
    return st.one_of(st.just(0.0), st.just(most), st.floats(0, most))


some_hashes = st.one_of(st.integers(1, 6).map(lambda n: n * 0x0101_0101_0101_0101), st.integers(1, 2**64 - 1))
hashes = st.just(0) | some_hashes
observations = st.builds(
    Observation,
    injection=share(),
    harm=share(),
    similarity=share(),
    near_threshold=st.booleans(),
    tokens=st.one_of(st.just(0), st.integers(1, 30_000)),
    other=hashes,
    hot=share(),
    pattern=hashes,
    unknown_key=st.sampled_from([False, False, False, True]),
    own=st.sampled_from([True, True, True, False]),
)
knobs = st.builds(
    Knobs,
    adaptive=st.sampled_from([Adaptive(), Adaptive(floor=0.1, ceiling=0.9, cut=0.5, cut_at=0.6, release_at=0.3)]),
    level=st.sampled_from(Level),
)
waits = st.one_of(st.integers(-2_000_000, 5_000_000), st.integers(0, 3_600_000_000))
history = st.lists(st.tuples(waits, st.lists(observations, min_size=1, max_size=4)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(knobs=knobs, history=history)
def test_redis_and_the_reference_learn_the_same_from_every_history(
    knobs: Knobs, history: list[tuple[int, list[Observation]]], runner: asyncio.Runner, connection: Connection
) -> None:
    pair, caller = Pair(runner, connection), uuid4().hex
    for wait_us, seen in history:
        pair.turn(wait_us)
        ours = runner.run(pair.local.observe(caller, seen, knobs))
        theirs = runner.run(pair.redis.observe(caller, seen, knobs))
        assert theirs == ours
    assert runner.run(pair.redis.read(caller)) == pair.local._states[caller]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.tuples(waits, some_hashes, st.integers(1, 200)), min_size=1, max_size=90))
def test_redis_and_the_reference_find_the_same_heat(
    texts: list[tuple[int, int, int]], runner: asyncio.Runner, connection: Connection
) -> None:
    pair = Pair(runner, connection)
    for wait_us, fingerprint, sender in texts:
        pair.turn(wait_us)
        ours = runner.run(pair.local.heat(fingerprint, sender))
        assert runner.run(pair.redis.heat(fingerprint, sender)) == ours


def test_redis_and_the_reference_forget_the_same_patterns(runner: asyncio.Runner, connection: Connection) -> None:
    pair, dice = Pair(runner, connection), random.Random(11)
    for number in range(60):
        pattern = dice.getrandbits(64)
        for sender in range(dice.randrange(1, 6)):
            pair.turn(dice.randrange(5_000_000))
            assert runner.run(pair.redis.heat(pattern, sender)) == runner.run(pair.local.heat(pattern, sender))
        if number % 3 == 0:
            for _ in range(6):
                alone, who = dice.getrandbits(64), dice.randrange(40)
                assert runner.run(pair.redis.heat(alone, who)) == runner.run(pair.local.heat(alone, who))
        table = runner.run(connection.execute("GET", PATTERNS, timeout_s=5))
        kept = [int.from_bytes(table[at : at + 8], "big") for at in range(0, len(table), 80)]
        assert kept == [each.fingerprint for each in pair.local._patterns]
