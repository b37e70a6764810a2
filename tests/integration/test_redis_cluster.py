"""Limits, behaviour, keys and events on a real Redis Cluster of three nodes: nothing is configured but the URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from data.events import Drain, EventStore, connect
from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptive, Knobs
from serving.anomaly.state import Observation
from serving.anomaly.store import RedisStates
from serving.callers import Callers
from serving.keys import KeyTable
from serving.policy import load_policy
from serving.ratelimit import Admission, Limit, LocalStorage, RateLimiter, RedisStorage
from serving.ratelimit.containment import Containment
from serving.redis_connection import Connection
from serving.redis_keys import debts_key
from tests.integration.conftest import OpenApp
from tests.integration.local_cluster import LocalCluster, local_cluster
from tests.integration.test_app_abuse import LEARNING
from tests.tiny_bundle import ATTACK

REQUESTS = Limit("requests", 5 / 3600, 5)  # slow to pay back: a test of seconds sees none of it
TOKENS = Limit("tokens", 100, 1_000, "tokens")
PRINCIPALS = [f"key_{number}" for number in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with local_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def connection(cluster: LocalCluster, tmp_path: Path) -> AsyncIterator[Connection]:
    for node in cluster.nodes:
        node.client.flushall()
    async with Connection(cluster.url, tmp_path, timeout_s=5) as connection:
        yield connection


class Replica:
    """One process's limiter."""

    def __init__(self, connection: Connection) -> None:
        self.degraded = 0
        memory, local = Memory(self._clock), LocalStorage(self._clock)
        self.limiter = RateLimiter(
            RedisStorage(connection), local, containment=Containment(memory, local), on_degraded=self._count
        )

    def _clock(self) -> int:
        return time.monotonic_ns() // 1000

    def _count(self, _choice: str) -> None:
        self.degraded += 1

    async def hit(self, principal: str, number: int = 0) -> Admission:
        return await self.limiter.hit(
            principal,
            [REQUESTS, TOKENS],
            {"tokens": 3},
            concurrent=1000,
            lease_id=f"lease {number}",
            adaptive=Adaptive(),
        )

    async def hits(self, principal: str, calls: int) -> int:
        return sum(each.allowed for each in await asyncio.gather(*(self.hit(principal, n) for n in range(calls))))


async def test_every_principal_gets_exactly_its_burst_on_whichever_node_it_lies(
    cluster: LocalCluster, connection: Connection
) -> None:
    replica = Replica(connection)
    admitted = await asyncio.gather(*(replica.hits(principal, 12) for principal in PRINCIPALS))
    assert set(admitted) == {5}
    assert replica.degraded == 0
    assert all(node.client.dbsize() >= 10 for node in cluster.nodes)


async def test_behaviour_is_learnt_and_read_where_its_principal_lies(connection: Connection) -> None:
    states, replica = RedisStates(connection), Replica(connection)
    for principal in PRINCIPALS[:10]:
        await states.observe(principal, [Observation(injection=1.0, tokens=9)] * 9, Knobs())
        assert (await replica.hit(principal)).factor < 0.3
        await states.pin(principal, 0.5)
        assert (await replica.hit(principal)).factor == 0.5
        await states.reset(principal)
        assert (await replica.hit(principal)).factor == 1
    assert await states.heat(7, 1) == 0
    assert replica.degraded == 0


async def test_an_operator_sees_the_callers_of_all_nodes(connection: Connection) -> None:
    states = RedisStates(connection)
    addresses = [f"addr_{number:024x}" for number in range(20)]
    for address in addresses:
        await states.observe(address, [Observation(injection=1.0, tokens=9)] * 9, Knobs())
    assert sorted(found.principal for found in await Callers(connection, load_policy()).held()) == addresses


def tagged(node: int) -> str:
    """A principal whose keys lie on the node of that number."""
    return next(name for name in map(str, range(1000)) if key_slot(name.encode()) * 3 // 16384 == node)


async def test_a_slot_that_moved_is_followed(cluster: LocalCluster, connection: Connection) -> None:
    principal, replica = tagged(0), Replica(connection)
    slot, (old, new) = key_slot(principal.encode()), cluster.masters[:2]
    assert await replica.hits("warm up", 1) == 1
    for node in cluster.masters:
        node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new.id)
    try:
        assert await replica.hits(principal, 12) == 5
        assert replica.degraded == 0
        assert new.client.exists(debts_key(principal))
    finally:
        new.client.flushall()
        for node in cluster.masters:
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", old.id)


async def test_while_its_slot_moves_a_principal_is_limited_here_and_nobody_else_notices(
    cluster: LocalCluster, connection: Connection
) -> None:
    """A node that is given a slot answers TRYAGAIN to a script with keys that have not come yet."""
    principal, replica = tagged(1), Replica(connection)
    slot, (old, new) = key_slot(principal.encode()), cluster.masters[1:]
    new.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old.id)
    old.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new.id)
    try:
        assert await connection.execute("SET", f"x{{{principal}}}", "1") == b"OK"
        assert await connection.execute("GET", f"x{{{principal}}}") == b"1"
        assert await replica.hits(principal, 12) == 5
        assert replica.degraded == 12
        assert await replica.hits("somebody else", 12) == 5
        assert (replica.degraded, connection.state.state) == (12, "up")
        for node in cluster.masters:
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new.id)
        assert await replica.hits(principal, 5) == 0
        assert replica.degraded == 12
    finally:
        new.client.flushall()
        for node in cluster.masters:
            node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", old.id)


async def test_the_whole_service_runs_on_it(cluster: LocalCluster, open_app: OpenApp, tmp_path: Path) -> None:
    for node in cluster.nodes:
        node.client.flushall()
    policy = tmp_path / "learning.yaml"
    policy.write_text(LEARNING)
    service = await open_app(redis_url=cluster.url, policy_path=policy, redis_timeout_s=2.0)
    _, secret = await KeyTable(service.gateway.connection).create(tier="authenticated", name="a team", now=0)
    async with service.client(**{"X-API-Key": secret}) as client:
        statuses = []
        for _ in range(25):
            statuses.append((await client.post("/classify", json={"text": ATTACK})).status_code)
            await service.learnt()
        ready = (await client.get("/readyz")).json()
    assert statuses[:8] == [200] * 8
    assert statuses[-5:] == [429] * 5
    assert ready["redis"]["state"] == "up"
    await service.gateway.event_log.flush()
    assert service.counted("weir_events_total", fate="stream") == statuses.count(200)
    assert service.counted("weir_observations_total", fate="observed") == statuses.count(200)
    assert service.counted("weir_degraded_total", reason="limits-local") == 0
    drained = await asyncio.to_thread(Drain(connect(cluster.url), EventStore(str(tmp_path)), consumer="one").run)
    assert (drained.events, drained.rejected) == (statuses.count(200), 0)


async def test_nobody_gets_more_than_the_limit_while_a_replica_takes_over(tmp_path: Path) -> None:
    """One master is killed under load; its callers are limited here until its replica serves them."""
    with local_cluster(tmp_path, replicas=True) as cluster:
        async with Connection(cluster.url, tmp_path, timeout_s=1) as connection:
            replica, admitted = Replica(connection), dict.fromkeys(PRINCIPALS, 0)
            for principal in PRINCIPALS:
                admitted[principal] += await replica.hits(principal, 2)
            assert await connection.execute("WAIT", 1, 5000, timeout_s=6) >= 0
            cluster.masters[0].process.kill()
            before = replica.degraded
            async with asyncio.timeout(60):
                recovered = 0
                while recovered < 3:  # rounds in which nobody was decided about without Redis
                    degraded = replica.degraded
                    for principal in PRINCIPALS:
                        admitted[principal] += (await replica.hit(principal, 7)).allowed
                    recovered = recovered + 1 if replica.degraded == degraded > before else 0
                    await asyncio.sleep(0.05)
            assert connection.state.state == "up"
            for principal in PRINCIPALS:
                admitted[principal] += await replica.hits(principal, 5)
        assert set(admitted.values()) == {5}


async def test_a_lost_node_is_its_own_callers_outage_and_nobody_elses(tmp_path: Path) -> None:
    """A third of all calls fail at first, in runs of three and more; the breaker of that node opens, no other."""
    with local_cluster(tmp_path) as cluster:
        for node in cluster.masters:
            node.client.config_set("cluster-require-full-coverage", "no")
        changes: list[str] = []
        async with Connection(cluster.url, tmp_path, timeout_s=1, on_breaker=changes.append) as connection:
            here = {name: cluster.serving(key_slot(name.encode())) is cluster.masters[0] for name in PRINCIPALS}
            lost, healthy = Replica(connection), Replica(connection)
            await asyncio.gather(*(healthy.hit(name) for name in PRINCIPALS))
            cluster.masters[0].process.kill()
            for number in range(30):
                hits = [(lost if gone else healthy).hit(name, number) for name, gone in sorted(here.items())]
                await asyncio.gather(*hits)
                await asyncio.sleep(0.02)
            assert changes == ["open"]
            assert connection.state.state == "down"
            assert (lost.degraded, healthy.degraded) == (30 * sum(here.values()), 0)
