"""What a URL leads to, one server or a cluster of them, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from serving.redis_wire import RedisWire, Reply, Word


class Server(Protocol):
    """Takes commands. Calls raise TimeoutError, hiredis.ReplyError, redis.RedisError and OSError."""

    async def call(self, command: Sequence[Word], timeout_s: float) -> Reply:
        """The reply to one command, connecting included."""
        ...

    async def client(self, key: str, timeout_s: float) -> Redis:
        """A redis-py client of the server that holds a key, for pipelines."""
        ...

    async def wires(self, timeout_s: float) -> list[RedisWire]:
        """The wires of all servers that take writes."""
        ...

    async def drop(self) -> None:
        """Let the next calls connect anew; what waits for a reply fails."""
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

    async def client(self, _key: str, _timeout_s: float) -> Redis:
        """As :meth:`Server.client`."""
        return self._redis

    async def wires(self, _timeout_s: float) -> list[RedisWire]:
        """As :meth:`Server.wires`."""
        return [self._wire]

    async def drop(self) -> None:
        """As :meth:`Server.drop`."""
        self._wire.drop()
        await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """As :meth:`Server.close`."""
        await self._wire.close()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
