"""Every decision as one event on a capped Redis stream, off the response path.

`record` writes the event to the spool, a journal on disk, before it returns, so that an event whose answer has left
outlives the process. A task takes batches from there to the stream, and the spool forgets what Redis has confirmed.
What does not fit is counted: an event is either on the stream, waiting or counted, and no request waits for Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from data.event_codec import FIELD, STREAM, to_json
from data.schema import Action, Event
from serving.redis_connection import Connection, RedisError
from serving.settings import Settings
from serving.spool import Spool, SpoolFull
from serving.tier import Tier

BATCH: Final = 256
# The embedded Redis holds 256 MB in all and refuses writes beyond, so the stream must stay well inside.
MAX_STREAM_BYTES: Final = 96 * 1024 * 1024
# A batch may take longer than a request's limits may; it is nobody's answer that waits.
BATCH_TIMEOUT_S: Final = 1.0
LINGER_S: Final = 0.1
RETRY_S: Final = 0.5
# Longer in all than Redis puts off writing its file.
KEEPING_PAUSES_S: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0)

# Appends and says how many entries were trimmed and how many there are. One command for a batch: packing an XADD for
# each event and reading its reply costs the event loop more than the rest of the way.
_APPEND: Final = """
for place = 3, #ARGV do redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[place]) end
return {redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1]), redis.call('XLEN', KEYS[1])}
"""

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

    `on_fate` is told how many events went where: `stream`, `replayed`, `memory`, or `dropped-` and the reason.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        on_fate: Callable[[str, int], None] = lambda _fate, _count: None,
        max_stream_bytes: int = MAX_STREAM_BYTES,
    ) -> None:
        self._connection = connection
        self._on_fate = on_fate
        self._max_stream_length = settings.event_stream_max_length
        self._max_stream_bytes = max_stream_bytes
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._spool = Spool(settings.state_dir / "spool", name, settings.event_spool_bytes)
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._delivering = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """Events that Redis has not confirmed yet, those of dead processes included once they were found."""
        return self._spool.waiting

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Begin delivering, first what dead processes left in the spool."""
        if torn := self._spool.adopt():
            self._on_fate("dropped-torn", torn)
        self._task = asyncio.create_task(self._run(), name="event-log")

    def record(self, event: Event, *, tier: Tier, text: str, embedding: npt.NDArray[np.float32] | None = None) -> None:
        """Remember one event: in the spool's file when this returns. Never waits for Redis and never raises.

        The text is kept if the tier's `log_text` says so; the embedding, from which much of a text can be guessed,
        only with the text or for a decision that an analyst may have to look at.
        """
        flagged = event.action is not Action.ALLOW
        with_text = keeps_text(tier.log_text, event.id, flagged=flagged)
        try:
            line = to_json(
                event,
                text=text if with_text else None,
                embedding=embedding if with_text or flagged else None,
            )
        except (TypeError, ValueError) as error:
            log.error("an event could not be written: %s", type(error).__name__)  # noqa: TRY400  a trace holds values
            self._on_fate("dropped-unwritable", 1)
            return
        try:
            on_disk = self._spool.append(line)
        except SpoolFull:
            self._on_fate("dropped-spool-full", 1)
            return
        if not on_disk:
            self._on_fate("memory", 1)
        self._wake.set()

    async def flush(self) -> bool:
        """Deliver everything recorded so far; False if Redis does not take it, and then it waits where it is."""
        async with self._delivering:
            remaining = self._spool.waiting
            while remaining > 0:
                try:
                    batch = self._spool.peek(BATCH)
                except OSError as error:
                    log.error("a file of the event spool cannot be read: %s", error.strerror)  # noqa: TRY400  no trace
                    lost = self._spool.abandon()
                    self._on_fate("dropped-disk", lost)
                    remaining -= lost
                    continue
                if not await self._send(batch.lines):
                    return False
                self._spool.forget(batch)
                self._on_fate("replayed" if batch.replayed else "stream", len(batch.lines))
                remaining -= len(batch.lines)
            return True

    async def aclose(self, deadline_s: float = 5.0) -> None:
        """Deliver what is left within the deadline, and stop; what Redis did not take is left in the spool."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=deadline_s)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if lost := self._spool.close():
            self._on_fate("dropped-disk", lost)

    async def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            pause_s = RETRY_S
            if await self.flush():
                await self._wake.wait()
                pause_s = LINGER_S  # lets a batch gather; one call for each event would cost more than it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause_s)
        await self.flush()

    async def _send(self, lines: Sequence[bytes]) -> bool:
        """Append to the stream; False if Redis did not confirm and keep it (it may have it all the same)."""

        async def call(redis: Redis) -> tuple[int, int, int, str | None]:
            pipeline = redis.pipeline(transaction=False)
            pipeline.execute_command("EVAL", _APPEND, 1, STREAM, self._max_stream_length, FIELD, *lines)
            pipeline.execute_command("MEMORY", "USAGE", STREAM)
            pipeline.execute_command("INFO", "server")
            appended, used, server = await pipeline.execute(raise_on_error=False)
            if isinstance(appended, Exception):
                raise appended
            # Some hosts forbid MEMORY or INFO.
            return *appended, used if isinstance(used, int) else 0, _facts(server).get("run_id")

        try:
            trimmed, length, used, run_id = await self._connection.run(call, STREAM, timeout_s=BATCH_TIMEOUT_S)
            if used > self._max_stream_bytes:
                fitting = int(length * 0.9 * self._max_stream_bytes / used)
                trimmed += await self._connection.execute("XTRIM", STREAM, "MAXLEN", fitting)
            if trimmed:
                self._on_fate("dropped-stream-full", trimmed)
            return await self._is_kept(run_id)
        except RedisError:
            return False

    async def _is_kept(self, run_id: str | None) -> bool:
        """Whether the Redis process that took a batch has written it to its append-only file, if it has one.

        With `appendfsync everysec` it confirms before it writes for as long as an fsync lasts, two seconds at most;
        killed then, it forgets what it has confirmed (measured beside a busy disk: after one kill in twelve).
        """

        async def ask(redis: Redis) -> tuple[str | None, int]:
            pipeline = redis.pipeline(transaction=False)
            pipeline.execute_command("INFO", "server")
            pipeline.execute_command("INFO", "persistence")
            server, persistence = await pipeline.execute(raise_on_error=False)
            return _facts(server).get("run_id"), _facts(persistence).get("aof_buffer_length", 0)

        for pause_s in KEEPING_PAUSES_S:
            running, unwritten = await self._connection.run(ask, STREAM, timeout_s=BATCH_TIMEOUT_S)
            if running != run_id:
                return False
            if not unwritten:
                return True
            await asyncio.sleep(pause_s)
        return True  # others keep its buffer filled; ours was written long ago


def _facts(info: object) -> dict[str, Any]:
    return info if isinstance(info, dict) else {}
