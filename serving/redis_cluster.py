"""A Redis Cluster as one server: each command goes to the node that serves its key.

redis-py's cluster client finds the nodes and keeps the map of slots. The commands themselves travel on one shared
:class:`RedisWire` a node, as its own connections would cost four times the CPU (see there). A node that answers MOVED
or ASK names the one to ask instead; one that is lost makes the map be read anew, in the background and at most twice a
second, so that its callers fail at once until a replica has taken over and everybody else's calls go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import hiredis
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from data.redis_url import cluster_nodes
from serving.redis_breaker import ANYWHERE, Node
from serving.redis_server import PROBE_KEY, PROBE_MS
from serving.redis_wire import RedisWire, Reply, Word

MOST_REDIRECTS: Final = 3
REFRESH_EVERY_S: Final = 0.5
REFRESH_PATIENCE_S: Final = 2.0
_PROBE_KEYS: Final = tuple(f"{PROBE_KEY}:{number}" for number in range(100))  # in as many slots: all nodes have some
_KEYLESS: Final = frozenset({"PING", "TIME", "INFO"})
_KEY_AT: Final = {"EVAL": 3, "EVALSHA": 3, "MEMORY": 2}


class Cluster:
    """The :class:`serving.redis_server.Server` of which ``url`` names one node or, separated by commas, several."""

    def __init__(self, url: str, max_connections: int) -> None:
        base, others = cluster_nodes(url)
        self._target = ConnectionPool.from_url(base, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None)
        self._max_connections = max_connections
        self._map = RedisCluster.from_url(
            base,
            startup_nodes=[ClusterNode(*each) for each in others],
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            require_full_coverage=False,
        ).nodes_manager
        self._wires: dict[Node, RedisWire] = {}
        self._clients: dict[Node, Redis] = {}
        self._reading: asyncio.Task[None] | None = None
        self._read_again_s = 0.0

    async def call(self, command: Sequence[Word], timeout_s: float) -> Reply:
        """As :meth:`Server.call`, redirects and the first reading of the map included."""
        ends = asyncio.get_running_loop().time() + timeout_s
        node, asking = await self._serving(_key(command), timeout_s), False
        for _ in range(MOST_REDIRECTS):
            try:
                left_s = ends - asyncio.get_running_loop().time()
                return await self._wire(node).call(command, left_s, asking=asking)
            except hiredis.ReplyError as error:
                kind, _, where = str(error).partition(" ")
                if kind not in {"MOVED", "ASK"}:
                    raise
                moved, asking = exceptions.MovedError(where), kind == "ASK"
                node = moved.host or node[0], moved.port
                if not asking:
                    with contextlib.suppress(KeyError):  # a slot that nobody served when the map was read
                        await self._map.move_slot(moved)
            except (OSError, TimeoutError):
                self._doubt()
                raise
        raise ConnectionError("redirected too often")

    def post(self, command: Sequence[Word]) -> None:
        """As :meth:`Server.post`; to a node that no longer serves the key it is lost."""
        node = self._mapped(_key(command))
        if node in self._wires:
            self._wires[node].post(command)

    async def client(self, key: str, timeout_s: float) -> Redis:
        """As :meth:`Server.client`."""
        node = await self._serving(key, timeout_s)
        if node not in self._clients:
            self._clients[node] = Redis(connection_pool=self._pool(node))
        return self._clients[node]

    async def wires(self, timeout_s: float) -> list[RedisWire]:
        """As :meth:`Server.wires`."""
        await self._serving(None, timeout_s)
        return [self._wire((node.host, int(node.port))) for node in self._map.get_nodes_by_server_type("primary")]

    def _doubt(self) -> None:
        """Read the map anew: a node did not answer, or not as the one that serves the key."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="redis-cluster-map")

    def node_of(self, command: Sequence[Word]) -> Node:
        """As :meth:`Server.node_of`; anywhere while the map does not say."""
        return self._mapped(_key(command)) or ANYWHERE

    async def probe(self, node: Node, patience_s: float, timeout_s: float) -> None:
        """As :meth:`Server.probe`. A node that serves nothing any more is not asked anything, so it does no harm."""
        try:
            if node == ANYWHERE:
                await self.call(("PING",), patience_s)
                await self.call(("SET", PROBE_KEY, "1", "PX", PROBE_MS), timeout_s)
                return
            key = next((key for key in _PROBE_KEYS if self._mapped(key) == node), None)
            if key is None:
                return
            self._wire(node).drop()
            if node in self._clients:
                await self._clients[node].connection_pool.disconnect(inuse_connections=False)
            await self._wire(node).call(("PING",), patience_s)
            await self._wire(node).call(("SET", key, "1", "PX", PROBE_MS), timeout_s)
        except (OSError, TimeoutError, hiredis.ReplyError):
            self._doubt()
            raise

    async def close(self) -> None:
        """As :meth:`Server.close`."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        for wire in self._wires.values():
            await wire.close()
        for client in self._clients.values():
            await client.aclose()
            await client.connection_pool.disconnect()
        await self._map.aclose()
        await self._map.aclose("startup_nodes")

    async def _serving(self, key: str | None, timeout_s: float) -> Node:
        """Host and port of the node that serves a key; of any node without one. Raises TimeoutError and OSError."""
        if not self._map.slots_cache:
            self._doubt()
            assert self._reading is not None  # noqa: S101  doubt has begun it
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._reading)
        node = self._mapped(key)
        if node is None:
            self._doubt()
            raise ConnectionError("no node is known to serve the key")
        return node

    def _mapped(self, key: str | None) -> Node | None:
        """The node that serves a key as the map has it; without a key, of the first slot."""
        try:
            node = self._map.get_node_from_slot(0 if key is None else key_slot(key.encode()))
        except (KeyError, IndexError, exceptions.RedisClusterException):
            return None
        return node.host, int(node.port)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._read_again_s - loop.time(), 0))
        self._read_again_s = loop.time() + REFRESH_EVERY_S
        with contextlib.suppress(TimeoutError, OSError, exceptions.RedisError):
            async with asyncio.timeout(REFRESH_PATIENCE_S):
                await self._map.initialize()

    def _wire(self, node: Node) -> RedisWire:
        if node not in self._wires:
            self._wires[node] = RedisWire(self._pool(node))
        return self._wires[node]

    def _pool(self, node: Node) -> ConnectionPool:
        host, port = node
        return ConnectionPool(
            connection_class=self._target.connection_class,
            max_connections=self._max_connections,
            **{**self._target.connection_kwargs, "host": host, "port": port},
        )


def _key(command: Sequence[Word]) -> str | None:
    name = str(command[0])
    return None if name in _KEYLESS else str(command[_KEY_AT.get(name, 1)])
