"""The one way to Redis: bounded in time and number, behind a circuit breaker, never a hang.

Limits, keys and the event log share one :class:`Connection`. A call gets an answer within the time limit or raises::

    RedisError
    ├── RedisDown      no usable answer: unreachable, slow, loading, read-only, out of memory; counts for the breaker
    └── RedisRefused   Redis answered that this command is wrong; says nothing about its health

After three failures in a row the breaker opens: calls fail at once while a probe asks every tenth of a second whether
Redis takes a write again. Each node of a cluster has a breaker of its own (:mod:`serving.redis_breaker`). The same task
supervises the embedded server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

import hiredis
from redis import exceptions as wire
from redis.asyncio import Redis

from data.redis_url import is_cluster
from serving.embedded_redis import EmbeddedRedis, EmbeddedRedisError
from serving.redis_breaker import ANYWHERE, Breakers, Node
from serving.redis_cluster import Cluster
from serving.redis_server import Server, SingleServer
from serving.redis_wire import Reply, Word

T = TypeVar("T")

PROBE_EVERY_S: Final = 0.1
CONNECT_PATIENCE_S: Final = 0.3
START_PATIENCE_S: Final = 15.0
# Answers that are about the server's state and not about our command. Inside a script they come as "... -OOM ...".
_UNWELL: Final = re.compile(r"(^|-)(LOADING|READONLY|OOM|MISCONF|NOREPLICAS|BUSY|CLUSTERDOWN|MASTERDOWN|NOAUTH)\b")

log = logging.getLogger(__name__)


class RedisError(Exception):
    """Root of the tree: Redis did not do what was asked."""


class RedisDown(RedisError):  # noqa: N818 - a state of the world, as the readyz answer names it
    """No usable answer from Redis; try again later or decide without it."""


class RedisRefused(RedisError):  # noqa: N818 - as above
    """Redis is well but refused this command."""


@dataclass(frozen=True, slots=True)
class RedisState:
    """For /readyz. ``since``: when this state began, UTC."""

    name: Literal["embedded", "external"]
    state: Literal["up", "down"]
    since: datetime

    def as_dict(self) -> dict[str, str]:
        """The state as JSON values."""
        return {"name": self.name, "state": self.state, "since": self.since.isoformat()}


class Script:
    """A Lua script: sent by its hash, in full only to a server that does not know it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so


class Connection:
    """Redis at ``url``, or an embedded server with its data in ``state_dir``/redis when ``url`` is None.

    A ``redis+cluster://`` URL names a Redis Cluster: see :mod:`serving.redis_cluster`.

    ``timeout_s`` bounds every call. Single commands share one connection (see :mod:`serving.redis_wire`) and must not
    wait inside Redis; what :meth:`run` is given takes one of ``max_connections`` others, and its time starts then.
    ``on_breaker`` is called with ``open`` when the first server is not asked any more, ``closed`` when all are again.
    Start it in the thread that runs the event loop and lives as long as the service (see
    :mod:`serving.embedded_redis`); it belongs to that loop.
    """

    def __init__(
        self,
        url: str | None,
        state_dir: Path,
        *,
        timeout_s: float = 0.05,
        max_connections: int = 4,
        on_breaker: Callable[[str], None] = lambda _state: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._embedded = None if url else EmbeddedRedis(state_dir / "redis")
        self.url: Final = self._embedded.url if self._embedded else str(url)
        self._timeout_s = timeout_s
        self._on_breaker = on_breaker
        self._now = now
        self._since = now()
        self._breakers = Breakers(self._changed)
        self._free = asyncio.Semaphore(max_connections)
        self._server: Server = (Cluster if is_cluster(self.url) else SingleServer)(self.url, max_connections)
        self._watch: asyncio.Task[None] | None = None

    @property
    def state(self) -> RedisState:
        """Which Redis this is and whether all of it may be asked."""
        down = self._breakers.open_nodes
        return RedisState("embedded" if self._embedded else "external", "down" if down else "up", self._since)

    @property
    def embedded_pid(self) -> int | None:
        """Process id of the embedded server if this process started it."""
        return self._embedded.pid if self._embedded else None

    async def start(self) -> None:
        """Start or join the embedded server and wait until it answers; an external one may be down and is watched.

        Raises :class:`EmbeddedRedisError`.
        """
        if self._embedded:
            try:
                await self._until_embedded_answers(self._embedded)
            except BaseException:
                self._embedded.stop()
                raise
        elif not await self._probe(ANYWHERE):
            self._breakers.open(ANYWHERE)
        self._watch = asyncio.create_task(self._keep_watch(), name="redis-watch")

    async def close(self) -> None:
        """Stop watching, close all connections, and stop the embedded server if this process started it."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._server.close()
        if self._embedded:
            self._embedded.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def node_of(self, key: str) -> Node:
        """The server that holds a key at the moment; one that is not known yet, and the only one, are `ANYWHERE`."""
        return self._server.node_of(("GET", key))

    async def execute(self, *command: Word, timeout_s: float | None = None) -> Reply:
        """One command; the reply as Redis sends it. Raises :class:`RedisDown` or :class:`RedisRefused`."""
        node = self._server.node_of(command)
        self._fail_if_open(node)
        seconds = timeout_s or self._timeout_s
        with self._counting(node), _in_our_words(seconds):
            return await self._server.call(command, seconds)

    def post(self, *command: Word) -> None:
        """One command whose reply nobody needs: it leaves with the next call or soon; while Redis is away, never."""
        if not self._breakers.is_open(self._server.node_of(command)):
            self._server.post(command)

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Reply:
        """One atomic script call. Raises as :meth:`execute`."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except RedisRefused as error:
            if not str(error.__cause__).startswith("NOSCRIPT"):
                raise
        return await self.execute("EVAL", script.text, len(keys), *keys, *args)  # which also makes it known

    async def names(self, pattern: str) -> list[str]:
        """The keys that look like the pattern, on all servers. Takes as long as there are keys; raises as execute."""
        found: dict[str, None] = {}
        with _in_our_words(self._timeout_s):
            for wire in await self._server.wires(self._timeout_s):
                cursor: bytes | int = 0
                while True:
                    command = ("SCAN", cursor, "MATCH", pattern, "COUNT", 500)
                    cursor, names = await wire.call(command, self._timeout_s)
                    found.update(dict.fromkeys(name.decode() for name in names))
                    if int(cursor) == 0:
                        break
        return list(found)

    async def run(self, call: Callable[[Redis], Awaitable[T]], key: str, *, timeout_s: float | None = None) -> T:
        """Any redis-py call about one key, a pipeline too, within ``timeout_s`` (default: the connection's).

        Raises as :meth:`execute`.
        """
        node = self.node_of(key)
        self._fail_if_open(node)
        async with self._free:
            self._fail_if_open(node)  # it may have opened while this call waited for its turn
            seconds = timeout_s or self._timeout_s
            with self._counting(node), _in_our_words(seconds):
                async with asyncio.timeout(seconds):  # redis-py closes a connection whose call is cut off
                    return await call(await self._server.client(key, seconds))

    @contextlib.contextmanager
    def _counting(self, node: Node) -> Iterator[None]:
        try:
            yield
        except RedisDown:
            self._breakers.failed(node)
            raise
        self._breakers.worked(node)

    def _fail_if_open(self, node: Node) -> None:
        if self._breakers.is_open(node):
            raise RedisDown("the circuit breaker is open")

    def _changed(self, node: Node, is_open: bool) -> None:
        first_or_last = len(self._breakers.open_nodes) == (1 if is_open else 0)
        where = _without_credentials(self.url) if node == ANYWHERE else f"{node[0]}:{node[1]}"
        log.warning("redis (%s at %s) is %s", self.state.name, where, "down" if is_open else "up")
        if first_or_last:
            self._since = self._now()
            self._on_breaker("open" if is_open else "closed")

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            self._revive_embedded()
            await asyncio.gather(*map(self._revive, self._breakers.open_nodes))

    async def _revive(self, node: Node) -> None:
        if await self._probe(node):
            self._breakers.close(node)

    def _revive_embedded(self) -> None:
        if self._embedded:
            try:
                if self._embedded.ensure():
                    log.warning("the embedded redis had died and was started again")
            except EmbeddedRedisError as error:
                log.error("%s", error)  # noqa: TRY400 - tried again in a tenth of a second; a trace says no more

    async def _probe(self, node: Node) -> bool:
        """Whether a server takes a write in time. Old connections go first: after a failover they lead astray.

        Connecting may take longer than a call: a distant Redis behind TLS would never come up otherwise.
        """
        patience_s = max(CONNECT_PATIENCE_S, self._timeout_s)
        try:
            with _in_our_words(patience_s):
                await self._server.probe(node, patience_s, self._timeout_s)
        except RedisError:
            return False
        return True

    async def _until_embedded_answers(self, embedded: EmbeddedRedis) -> None:
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                embedded.ensure()
                while not await self._probe(ANYWHERE):
                    await asyncio.sleep(0.02)
                    embedded.ensure()
        except TimeoutError:
            raise EmbeddedRedisError(f"the embedded Redis did not answer; see redis.log beside {self.url}") from None


@contextlib.contextmanager
def _in_our_words(seconds: float) -> Iterator[None]:
    """Raise what goes wrong inside as :class:`RedisDown` or :class:`RedisRefused`; ``seconds`` was the time limit."""
    try:
        yield
    except TimeoutError:
        raise RedisDown(f"no answer within {seconds * 1000:.0f} ms") from None
    except (wire.ResponseError, hiredis.ReplyError) as error:
        trouble = RedisDown if _is_unwell(error) else RedisRefused
        raise trouble(type(error).__name__) from error
    except (wire.RedisError, OSError, EOFError) as error:
        raise RedisDown(type(error).__name__) from error


def _is_unwell(error: wire.ResponseError | hiredis.ReplyError) -> bool:
    kinds = (wire.ReadOnlyError, wire.OutOfMemoryError, wire.ClusterDownError)
    return isinstance(error, kinds) or _UNWELL.search(str(error)) is not None


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2] or parts.path}"
