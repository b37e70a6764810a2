"""The event log's way to disk: `python -m data.events drain` moves events from the Redis stream to dated Parquet.

At least once, idempotent by event id, and safe to kill at any moment: a batch is read for a consumer group, written
and renamed, and only then acknowledged and deleted, in one transaction. What a killed drain had in hand stays with the
group and is taken over by the next one. Any number of drains may run at once. With Redis embedded in the service,
drain while the service runs: the server stops with it, and keeps its events for the next start.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
from redis.cluster import ClusterNode

from data.event_codec import FIELD, STREAM, from_json
from data.event_store import EventStore, read
from data.redis_url import cluster_nodes, is_cluster

__all__ = ["Drain", "Drained", "read"]

GROUP: Final = "drain"

# What reading or storing an entry raises that some other program put on the stream.
_NO_EVENT: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError)

log = logging.getLogger("weir.drain")

Entry = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did. `rejected` entries were no events and lie in the store's `rejected` folder."""

    events: int = 0
    rejected: int = 0
    files: tuple[str, ...] = ()

    def __add__(self, other: Drained) -> Drained:
        return Drained(self.events + other.events, self.rejected + other.rejected, self.files + other.files)


class Drain:
    """One consumer of the event stream.

    `claim_after_s`: how long an entry must have been in another drain's hands before that drain counts as dead. Too
    short costs duplicates on disk, which readers leave out; nothing is lost.
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        store: EventStore,
        *,
        consumer: str,
        batch: int = 1000,
        claim_after_s: float = 60,
    ) -> None:
        self._redis = client
        self._store = store
        self._consumer = consumer
        self._batch = batch
        self._claim_after_ms = int(claim_after_s * 1000)

    def run(self, stopped: Callable[[], bool] = lambda: False) -> Drained:
        """Move everything that is there, first what dead drains left behind; `stopped` is asked after each batch.

        Raises redis.RedisError and OSError; whatever was not moved then stays in the stream.
        """
        self._ensure_group()
        total = Drained()
        for entries in itertools.chain(self._abandoned(), self._fresh()):
            total += self._move(entries)
            if stopped():
                break
        # A consumer without pending entries leaves no trace; the next run is another one.
        if not self._redis.xpending_range(STREAM, GROUP, "-", "+", 1, consumername=self._consumer):
            self._redis.xgroup_delconsumer(STREAM, GROUP, self._consumer)
        return total

    def _ensure_group(self) -> None:
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _abandoned(self) -> Iterator[list[Entry]]:
        while True:
            pending = self._redis.xpending_range(STREAM, GROUP, "-", "+", self._batch, idle=self._claim_after_ms)
            ids: Any = [entry["message_id"] for entry in pending]
            if not ids:
                return
            # Claiming checks the idle time again, so of two drains that saw the same entries one gets them.
            claimed: Any = self._redis.xclaim(STREAM, GROUP, self._consumer, self._claim_after_ms, ids, justid=True)
            if not claimed:
                return
            yield self._fetch(claimed)

    def _fetch(self, ids: Sequence[Any]) -> list[Entry]:
        """The claimed entries; those that the stream's cap has cut off meanwhile are let go."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for each in ids:
                pipeline.xrange(STREAM, each, each)
            found = [entry for entries in pipeline.execute() for entry in entries]
        kept = {stream_id for stream_id, _ in found}
        gone = [each for each in ids if each not in kept]
        if gone:
            self._redis.xack(STREAM, GROUP, *gone)
        return _entries(found)

    def _fresh(self) -> Iterator[list[Entry]]:
        while True:
            reply: Any = self._redis.xreadgroup(GROUP, self._consumer, {STREAM: ">"}, count=self._batch)
            if not reply:
                return
            streams = reply.items() if isinstance(reply, dict) else reply
            for _, found in streams:
                yield _entries(found)

    def _move(self, entries: Sequence[Entry]) -> Drained:
        try:
            files = self._store.write([(stream_id, from_json(content)) for stream_id, content in entries])
            drained = Drained(len(entries), 0, tuple(files))
        except _NO_EVENT:
            drained = Drained()
            for stream_id, content in entries:
                drained += self._move_one(stream_id, content)
        if entries:
            ids = [stream_id for stream_id, _ in entries]
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xack(STREAM, GROUP, *ids)
                pipeline.xdel(STREAM, *ids)
                pipeline.execute()
        return drained

    def _move_one(self, stream_id: str, content: bytes) -> Drained:
        try:
            return Drained(1, 0, tuple(self._store.write([(stream_id, from_json(content))])))
        except _NO_EVENT:
            where = self._store.keep_rejected(stream_id, content)
            log.warning("stream entry %s is no event; kept as %s", stream_id, where)
            return Drained(0, 1)


def _entries(found: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    return [(stream_id.decode(), fields.get(FIELD.encode(), b"")) for stream_id, fields in found]


def connect(url: str) -> redis.Redis | redis.RedisCluster:
    """A client of the Redis that the service writes to, a cluster too."""
    if not is_cluster(url):
        return redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=30)
    base, others = cluster_nodes(url)
    nodes = [ClusterNode(host, port) for host, port in others]  # type: ignore[no-untyped-call]
    return redis.RedisCluster.from_url(base, startup_nodes=nodes, socket_connect_timeout=5, socket_timeout=30)


def _default_redis() -> str:
    """`REDIS_URL`, or the socket of the Redis that the service embeds."""
    state = Path(os.environ.get("WEIR_STATE_DIR", "var/state"))
    url = os.environ.get("WEIR_REDIS_URL") or os.environ.get("REDIS_URL")
    return url or f"unix://{(state / 'redis' / 'redis.sock').resolve()}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m data.events")
    drain = parser.add_subparsers(required=True).add_parser("drain", help="move events from Redis to Parquet")
    drain.add_argument("--redis-url", default=_default_redis(), help="default: REDIS_URL, or the embedded Redis")
    drain.add_argument("--to", default="var/events", help="folder or fsspec URL (%(default)s)")
    drain.add_argument("--batch", type=int, default=1000, help="events in one file at most (%(default)s)")
    drain.add_argument(
        "--claim-after", type=float, default=60, help="seconds until another drain is dead (%(default)s)"
    )
    drain.add_argument("--follow", action="store_true", help="go on until stopped")
    drain.add_argument("--every", type=float, default=60, help="with --follow: seconds between drains (%(default)s)")
    return parser


def _main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    drain = Drain(
        connect(options.redis_url),
        EventStore(options.to),
        consumer=f"{os.uname().nodename}-{os.getpid()}",
        batch=options.batch,
        claim_after_s=options.claim_after,
    )
    while True:
        try:
            drained = drain.run(stopping.is_set)
        except (redis.RedisError, OSError) as error:
            log.error("the events could not be moved, and stay in Redis: %s", error)  # noqa: TRY400  a command's answer
            if not options.follow:
                return 1
        else:
            log.info("%d events in %d files under %s", drained.events, len(drained.files), options.to)
        if not options.follow or stopping.wait(options.every):
            return 0


if __name__ == "__main__":
    sys.exit(_main())
