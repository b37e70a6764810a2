"""What a URL leads to, one server or a cluster of them, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from serving.redis_breaker import ANYWHERE, Node
from serving.redis_wire import RedisWire, Reply, Word

PROBE_KEY: Final = "weir:probe"
PROBE_MS: Final = 60_000


class Server(Protocol):
    """Takes commands. Calls raise TimeoutError, hiredis.ReplyError, redis.RedisError and OSError."""

    async def call(self, command: Sequence[Word], timeout_s: float) -> Reply:
        """The reply to one command, connecting included."""
        ...

    def post(self, command: Sequence[Word]) -> None:
        """Send a command whose reply nobody waits for; where its server is not known or not connected, nothing."""
        ...

    async def client(self, key: str, timeout_s: float) -> Redis:
        """A redis-py client of the server that holds a key, for pipelines."""
        ...

    async def wires(self, timeout_s: float) -> list[RedisWire]:
        """The wires of all servers that take writes."""
        ...

    def node_of(self, command: Sequence[Word]) -> Node:
        """Which server a command goes to, as far as that is known."""
        ...

    async def probe(self, node: Node, patience_s: float, timeout_s: float) -> None:
        """Connect to a server anew within the patience, and write something to it within the timeout.

        What waits for a reply from it fails.
        """
        ...

    async def close(self) -> None:
        """Close all connections; what waits for a reply fails."""
        ...


class SingleServer:
    """The one :class:`Server` at ``url``, as redis-py reads it."""

    def __init__(self, url: str, max_connections: int) -> None:
        # One attempt and no timers of redis-py: the caller's time limit decides alone.
        self._redis = Redis.from_url(
            url,
            protocol=2,
            max_connections=max_connections,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=None,
        )
        self._wire = RedisWire(self._redis.connection_pool)

    async def call(self, command: Sequence[Word], timeout_s: float) -> Reply:
        """As :meth:`Server.call`."""
        return await self._wire.call(command, timeout_s)

    def post(self, command: Sequence[Word]) -> None:
        """As :meth:`Server.post`."""
        self._wire.post(command)

    async def client(self, _key: str, _timeout_s: float) -> Redis:
        """As :meth:`Server.client`."""
        return self._redis

    async def wires(self, _timeout_s: float) -> list[RedisWire]:
        """As :meth:`Server.wires`."""
        return [self._wire]

    def node_of(self, _command: Sequence[Word]) -> Node:
        """As :meth:`Server.node_of`."""
        return ANYWHERE

    async def probe(self, _node: Node, patience_s: float, timeout_s: float) -> None:
        """As :meth:`Server.probe`."""
        self._wire.drop()
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        await self._wire.call(("PING",), patience_s)
        await self._wire.call(("SET", PROBE_KEY, "1", "PX", PROBE_MS), timeout_s)

    async def close(self) -> None:
        """As :meth:`Server.close`."""
        await self._wire.close()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
