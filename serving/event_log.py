"""Every decision as one event on a capped Redis stream, off the response path.

`record` puts the event into a bounded queue and returns. A task takes batches from there to the stream; while Redis
is away it takes them to the spool on disk, and back again when Redis answers. What fits nowhere is counted: an
event is either written, waiting or counted, and the request never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from data.event_codec import FIELD, STREAM, to_json
from data.schema import Action, Event
from serving.policy import Tier
from serving.redis_connection import Connection, RedisError
from serving.settings import Settings
from serving.spool import Spool, SpoolFull

BATCH: Final = 256
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
MAX_QUEUED_EVENTS: Final = 10_000
MAX_QUEUED_BYTES: Final = 32 * 1024 * 1024
# The embedded Redis holds 256 MB in all and refuses writes beyond, so the stream must stay well inside.
MAX_STREAM_BYTES: Final = 96 * 1024 * 1024
# A batch may take longer than a request's limits may; it is nobody's answer that waits.
BATCH_TIMEOUT_S: Final = 1.0
LINGER_S: Final = 0.02
RETRY_S: Final = 0.5

log = logging.getLogger("weir.events")


def keeps_text(log_text: str, event_id: str, *, flagged: bool) -> bool:
    """Whether an event keeps its text under a tier's `log_text`: none, flagged, all or sampled:RATE.

    The sample is drawn by the event's id, so that it can be drawn again and no worker differs.
    """
    match log_text.split(":"):
        case ["all"]:
            return True
        case ["flagged"]:
            return flagged
        case ["sampled", rate]:
            drawn = int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest())
            return drawn < float(rate) * 2**64
    return False


class EventLog:
    """The way of events to Redis; an async context manager that runs it and flushes at the end.

    `on_fate` is told how many events went where: `stream`, `spool`, or `dropped-` and the reason.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        on_fate: Callable[[str, int], None] = lambda _fate, _count: None,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._connection = connection
        self._on_fate = on_fate
        self._max_stream_length = settings.event_stream_max_length
        self._max_stream_bytes = max_stream_bytes
        self._max_queued_bytes = max_queued_bytes
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._spool = Spool(settings.state_dir / "spool", name, settings.event_spool_bytes)
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._spooled = False
        self._closing = False
        self._wake = asyncio.Event()
        self._delivering = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """Events in memory that are neither in Redis nor on disk yet."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Begin delivering, first what dead processes left in the spool."""
        try:
            self._spooled = await asyncio.to_thread(self._spool.adopt) > 0
        except OSError as error:
            log.error("the event spool cannot be opened: %s", error.strerror)  # noqa: TRY400  says all there is
        self._task = asyncio.create_task(self._run(), name="event-log")

    def record(self, event: Event, *, tier: Tier, text: str, embedding: npt.NDArray[np.float32] | None = None) -> None:
        """Remember one event. Never waits and never raises.

        The text is kept if the tier's `log_text` says so; the embedding, from which much of a text can be guessed,
        only with the text or for a decision that an analyst may have to look at.
        """
        flagged = event.action is not Action.ALLOW
        with_text = keeps_text(tier.log_text, event.id, flagged=flagged)
        try:
            line = to_json(
                dataclasses.replace(
                    event,
                    text=text if with_text else None,
                    embedding=tuple(embedding.tolist()) if embedding is not None and (with_text or flagged) else None,
                )
            )
        except (TypeError, ValueError) as error:
            log.error("an event could not be written: %s", type(error).__name__)  # noqa: TRY400  a trace holds values
            self._on_fate("dropped-unwritable", 1)
            return
        if len(self._queue) >= MAX_QUEUED_EVENTS or self._queued_bytes + len(line) > self._max_queued_bytes:
            self._on_fate("dropped-queue-full", 1)
            return
        self._queue.append(line)
        self._queued_bytes += len(line)
        self._wake.set()

    async def flush(self) -> None:
        """Return when everything recorded so far is in Redis, on disk, or counted as dropped."""
        async with self._delivering:
            remaining = len(self._queue)
            while remaining > 0:
                remaining -= await self._deliver_batch()

    async def aclose(self, deadline_s: float = 5.0) -> None:
        """Deliver what is left, to Redis or else to disk, within the deadline, and stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=deadline_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._queue:  # cut off by the deadline: one write to disk is all that is left to do
            self._store(list(self._queue))
            self._forget(len(self._queue))
        await asyncio.to_thread(self._spool.close)

    async def _run(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RETRY_S if self._spooled else None)
            self._wake.clear()
            if not self._closing:
                await asyncio.sleep(LINGER_S)  # lets a batch gather; one call for each event would cost more than it
            await self.flush()
            await self._replay()
        await self.flush()

    def _next_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        for line in itertools.islice(self._queue, BATCH):
            size += len(line)
            if batch and size > MAX_BATCH_BYTES:
                break
            batch.append(line)
        return batch

    async def _deliver_batch(self) -> int:
        # The events stay in the queue until they are safe, so a task that is cancelled here loses none.
        batch = self._next_batch()
        if await self._send(batch):
            self._on_fate("stream", len(batch))
        else:
            await asyncio.to_thread(self._store, batch)
        self._forget(len(batch))
        return len(batch)

    async def _replay(self) -> None:
        """Bring the spool to Redis, in order, for as long as Redis takes it; new events go between its batches."""
        while self._spooled and not self._closing:
            async with self._delivering:
                try:
                    lines = await asyncio.to_thread(self._spool.peek, BATCH)
                except OSError as error:
                    log.error("the event spool cannot be read: %s", error.strerror)  # noqa: TRY400  says all there is
                    return
                self._spooled = bool(lines)
                if not lines or not await self._send(lines):
                    return
                await asyncio.to_thread(self._spool.forget, lines)
                self._on_fate("replayed", len(lines))
            await self.flush()

    async def _send(self, lines: Sequence[bytes]) -> bool:
        """Append to the stream; False if Redis did not confirm it (it may have them all the same)."""

        async def call(redis: Redis) -> tuple[int, int, int]:
            pipeline = redis.pipeline(transaction=False)
            for line in lines:
                pipeline.execute_command("XADD", STREAM, "*", FIELD, line)
            pipeline.execute_command("XTRIM", STREAM, "MAXLEN", "~", self._max_stream_length)
            pipeline.execute_command("XLEN", STREAM)
            pipeline.execute_command("MEMORY", "USAGE", STREAM)
            *replies, used = await pipeline.execute(raise_on_error=False)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
            return replies[-2], replies[-1], used if isinstance(used, int) else 0  # some hosts forbid MEMORY

        try:
            trimmed, length, used = await self._connection.run(call, timeout_s=BATCH_TIMEOUT_S)
            if used > self._max_stream_bytes:
                fitting = int(length * 0.9 * self._max_stream_bytes / used)
                trimmed += await self._connection.execute("XTRIM", STREAM, "MAXLEN", fitting)
        except RedisError:
            return False
        if trimmed:
            self._on_fate("dropped-stream-full", trimmed)
        return True

    def _store(self, lines: Sequence[bytes]) -> None:
        try:
            self._spool.append(lines)
        except SpoolFull:
            self._on_fate("dropped-spool-full", len(lines))
        except OSError as error:
            log.error("the event spool cannot be written: %s", error.strerror)  # noqa: TRY400  says all there is
            self._on_fate("dropped-disk", len(lines))
        else:
            self._on_fate("spool", len(lines))
            self._spooled = True

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._queued_bytes -= len(self._queue.popleft())
