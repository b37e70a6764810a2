"""Many callers' tasks, several replicas, one Redis: however their calls interleave, nobody gets more than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptive, Knobs
from serving.anomaly.state import Observation
from serving.anomaly.store import RedisStates, read_script
from serving.ratelimit import Limit, LocalStorage, RateLimiter, RedisStorage
from serving.ratelimit import redis as redis_storage
from serving.ratelimit.containment import Containment
from serving.redis_connection import Connection
from tests.integration.test_ratelimit_storages import CLOCK_IN_A_LIST, START_US, patient_connection

REQUESTS = Limit("requests", 1, 6)
SECOND = 1_000_000


@dataclass(frozen=True)
class Act:
    """One task's deed: a request of some cost by a replica, or something learnt of its caller."""

    replica: int
    caller: str
    cost: int
    learnt: float | None


acts = st.builds(
    Act,
    replica=st.integers(0, 1),
    caller=st.sampled_from(["p", "q"]),
    cost=st.integers(1, 4),
    learnt=st.sampled_from([None, None, None, 0.0, 1.0]),
)
rounds = st.lists(
    st.tuples(st.sampled_from([0, 1, SECOND, 7 * SECOND, -3600 * SECOND]), st.lists(acts, max_size=16), st.randoms()),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def connection(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with patient_connection(runner, tmp_path_factory.mktemp("redis")) as connection:
        yield connection


class Replica:
    """A limiter of its own on the Redis of all."""

    def __init__(self, connection: Connection, clock: list[int]) -> None:
        memory, local = Memory(lambda: clock[0]), LocalStorage(lambda: clock[0])
        storage = RedisStorage(connection, script=CLOCK_IN_A_LIST + redis_storage.read_script())
        self.limiter = RateLimiter(storage, local, containment=Containment(memory, local))
        self.states = RedisStates(connection, observe=CLOCK_IN_A_LIST + read_script("observe.lua"))

    async def does(self, act: Act, caller: str) -> int:
        if act.learnt is not None:
            await self.states.observe(caller, [Observation(injection=act.learnt, tokens=9)] * 9, Knobs())
            return 0
        admission = await self.limiter.hit(caller, [REQUESTS], {"requests": act.cost}, adaptive=Adaptive())
        assert not admission.degraded
        return act.cost if admission.allowed else 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=rounds)
def test_no_interleaving_admits_more_than_the_limit(
    history: list[tuple[int, list[Act], object]], runner: asyncio.Runner, connection: Connection
) -> None:
    clock, prefix = [START_US], uuid4().hex
    replicas = [Replica(connection, clock) for _ in range(2)]

    async def one_round(acts: list[Act]) -> list[int]:
        seconds, rest = divmod(clock[0], SECOND)
        await connection.execute("DEL", "test:clock")
        await connection.execute("RPUSH", "test:clock", seconds, rest)
        return await asyncio.gather(*(replicas[act.replica].does(act, prefix + act.caller) for act in acts))

    passed_us, admitted = 0, {"p": 0, "q": 0}
    for move_us, acts, dice in history:
        clock[0] += move_us
        passed_us += max(move_us, 0)
        dice.shuffle(acts)  # type: ignore[attr-defined]
        for act, cost in zip(acts, runner.run(one_round(acts)), strict=True):
            admitted[act.caller] += cost
        assert max(admitted.values()) <= REQUESTS.burst + passed_us / REQUESTS.interval_us
