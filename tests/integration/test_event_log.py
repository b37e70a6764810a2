"""Events on their way to a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from data.event_codec import STREAM, from_json
from data.schema import Action, Category, Coverage, Direction, Event
from serving import event_log
from serving.embedded_redis import EmbeddedRedis
from serving.event_log import EventLog
from serving.redis_connection import Connection, RedisError
from serving.settings import Settings
from serving.tier import Limits, Tier

ROOT = Path(__file__).parents[2]

# Kills itself in the very turn of the event loop in which it recorded its last events.
PRODUCER = """
import asyncio, os, signal, sys
from pathlib import Path
from serving.event_log import EventLog
from serving.redis_connection import Connection
from serving.settings import Settings
from tests.integration.test_event_log import TIER, event

async def main(url, state, first):
    settings = Settings(redis_url=url, state_dir=Path(state))
    async with Connection(url, Path(state)) as connection, EventLog(connection, settings) as log:
        for number in range(first, first + 200):
            log.record(event(number), tier=TIER, text="t")
            if number % 40 == 0:
                await asyncio.sleep(0.03)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def producers(count: int, server: EmbeddedRedis, settings: Settings) -> None:
    """Run processes of which number N records the 200 events from 200 N on and dies at once."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PRODUCER, server.url, str(settings.state_dir), str(200 * number), cwd=ROOT
        )
        for number in range(count)
    ]
    async with asyncio.timeout(120):
        assert [await each.wait() for each in started] == [-signal.SIGKILL] * count


def tier(log_text: str = "none") -> Tier:
    limits = Limits(1, 1, 1, 1, 2, 1, 1)
    return Tier("internal", limits, "local", log_text, "default", ("default",))


TIER = tier()


def event(number: int, action: Action = Action.ALLOW) -> Event:
    return Event(
        id=f"evt_{number}",
        time=1_800_000_000.0 + number,
        request_id=None,
        principal="key_1",
        tier="internal",
        address="addr_1",
        user=None,
        direction=Direction.INPUT,
        action=action,
        categories=(),
        scores={Category.INJECTION: 0.25},
        reasons=(),
        coverage=Coverage(1, 1, 1),
        changes={},
        anomaly=0.0,
        limit_factor=1.0,
        model_version="m",
        policy="default",
        policy_version="p",
        timings_ms={},
    )


@pytest.fixture
def settings(tmp_path: Path, server: EmbeddedRedis) -> Settings:
    return Settings(redis_url=server.url, state_dir=tmp_path / "state")


@pytest.fixture
async def redis(server: EmbeddedRedis, tmp_path: Path) -> AsyncIterator[Connection]:
    async with Connection(server.url, tmp_path / "state", timeout_s=1) as connection:
        await until(lambda: connection.state.state == "up")
        yield connection


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the life of a foreign process sets no event
            await asyncio.sleep(0.01)


async def kill(server: EmbeddedRedis, redis: Connection) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await until(lambda: server.pid is None)


async def revive(server: EmbeddedRedis, redis: Connection) -> None:
    server.ensure()
    await until(lambda: redis.state.state == "up")


async def stored(redis: Connection) -> list[Event]:
    entries = await redis.execute("XRANGE", STREAM, "-", "+")
    return [from_json(content) for _, (_, content) in entries]


async def ids(redis: Connection) -> list[str]:
    return [each.id for each in await stored(redis)]


def numbered(start: int, stop: int) -> list[str]:
    return [f"evt_{number}" for number in range(start, stop)]


async def test_events_reach_the_stream_in_order(redis: Connection, settings: Settings) -> None:
    fates: Counter[str] = Counter()
    async with EventLog(redis, settings, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        for number in range(1000):
            log.record(event(number), tier=TIER, text="never kept")
        await log.flush()
        assert await stored(redis) == [event(number) for number in range(1000)]
        assert log.backlog == 0
    assert fates == {"stream": 1000}


async def test_events_are_delivered_without_anybody_flushing(redis: Connection, settings: Settings) -> None:
    async with EventLog(redis, settings) as log:
        log.record(event(1), tier=TIER, text="")
        await until(lambda: log.backlog == 0)
        assert await ids(redis) == ["evt_1"]


async def test_closing_delivers_what_is_left(redis: Connection, settings: Settings) -> None:
    async with EventLog(redis, settings) as log:
        log.record(event(1), tier=TIER, text="")
    assert await ids(redis) == ["evt_1"]


@pytest.mark.parametrize(
    ("log_text", "action", "text", "with_embedding"),
    [
        ("none", Action.ALLOW, None, False),
        ("none", Action.BLOCK, None, True),
        ("flagged", Action.ALLOW, None, False),
        ("flagged", Action.FLAG, "the text", True),
        ("all", Action.ALLOW, "the text", True),
    ],
)
async def test_text_and_embedding_travel_only_as_the_tier_allows(
    redis: Connection, settings: Settings, log_text: str, action: Action, text: str | None, with_embedding: bool
) -> None:
    async with EventLog(redis, settings) as log:
        embedding = np.array([0.5, -0.5], dtype=np.float32)
        log.record(event(1, action), tier=tier(log_text), text="the text", embedding=embedding)
    (kept,) = await stored(redis)
    assert kept.text == text
    assert kept.embedding == ((0.5, -0.5) if with_embedding else None)


async def test_scores_as_the_model_gives_them_are_no_obstacle(redis: Connection, settings: Settings) -> None:
    async with EventLog(redis, settings) as log:
        scores = {Category.INJECTION: np.float32(0.25)}
        log.record(dataclasses.replace(event(1), scores=scores), tier=TIER, text="")
    assert await stored(redis) == [event(1)]


async def test_events_survive_a_killed_redis_on_disk_and_are_delivered_in_order(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    fates: Counter[str] = Counter()
    async with EventLog(redis, settings, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        for number in range(10):
            log.record(event(number), tier=TIER, text="")
        assert await log.flush()
        await kill(server, redis)
        for number in range(10, 600):
            log.record(event(number), tier=TIER, text="")
        assert not await log.flush()
        assert fates == {"stream": 10}
        assert log.backlog == 590
        await revive(server, redis)
        await until(lambda: log.backlog == 0)
        assert fates == {"stream": 600}
        assert await ids(redis) == numbered(0, 600)
    assert list((settings.state_dir / "spool").iterdir()) == []


async def test_no_event_is_lost_when_redis_is_killed_under_load(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    fates: Counter[str] = Counter()
    async with EventLog(redis, settings, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        for number in range(3000):
            log.record(event(number), tier=TIER, text="")
            if number % 10 == 0:
                await asyncio.sleep(0.002)
            if number == 1000:
                await kill(server, redis)
            if number == 2000:
                await revive(server, redis)
        await until(lambda: log.backlog == 0)
    assert set(await ids(redis)) == set(numbered(0, 3000))
    assert fates == {"stream": 3000}


async def test_the_spool_is_bounded_and_what_does_not_fit_is_counted(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    fates: Counter[str] = Counter()
    small = settings.model_copy(update={"event_spool_bytes": 50_000})
    await kill(server, redis)
    async with EventLog(redis, small, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        for number in range(1000):
            log.record(event(number), tier=TIER, text="")
        kept = log.backlog
        assert kept >= 50
        assert fates == {"dropped-spool-full": 1000 - kept}
        assert sum(path.stat().st_size for path in (settings.state_dir / "spool").iterdir()) <= 50_000
        await revive(server, redis)
        await until(lambda: log.backlog == 0)
        log.record(event(1000), tier=TIER, text="")
    assert await ids(redis) == [*numbered(0, kept), "evt_1000"]


async def test_the_stream_is_capped_by_length_and_by_bytes(redis: Connection, settings: Settings) -> None:
    fates: Counter[str] = Counter()

    def count(fate: str, number: int) -> None:
        fates.update({fate: number})

    capped = settings.model_copy(update={"event_stream_max_length": 500})
    async with EventLog(redis, capped, on_fate=count) as log:
        for number in range(2000):
            log.record(event(number), tier=TIER, text="")
    kept = await ids(redis)
    assert 500 <= len(kept) <= 700  # Redis trims whole nodes of 100
    assert kept[-1] == "evt_1999"
    assert fates == {"stream": 2000, "dropped-stream-full": 2000 - len(kept)}

    async with EventLog(redis, settings, on_fate=count, max_stream_bytes=100_000) as log:
        for number in range(2000, 4000):
            log.record(event(number), tier=TIER, text="x")
    assert await redis.execute("MEMORY", "USAGE", STREAM) < 120_000
    assert (await ids(redis))[-1] == "evt_3999"
    assert fates["stream"] - fates["dropped-stream-full"] == len(await ids(redis))


async def test_closing_while_redis_hangs_keeps_to_its_deadline_and_loses_nothing(
    server: EmbeddedRedis, redis: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "BATCH_TIMEOUT_S", 60.0)
    log = EventLog(redis, settings)
    await log.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        log.record(event(1), tier=TIER, text="")
        async with asyncio.timeout(10):
            await log.aclose(deadline_s=0.1)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    (left,) = (settings.state_dir / "spool").iterdir()
    assert [from_json(line).id for line in left.read_bytes().splitlines()] == ["evt_1"]


async def test_what_a_process_recorded_just_before_it_was_killed_is_delivered_by_the_next(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    await producers(1, server, settings)
    delivered = await ids(redis)
    assert set(delivered) != set(numbered(0, 200))  # or the kill came too late to show anything
    async with EventLog(redis, settings) as log:
        await until(lambda: log.backlog == 0)
    assert set(await ids(redis)) == set(numbered(0, 200))
    assert list((settings.state_dir / "spool").iterdir()) == []


async def test_the_journals_of_several_killed_processes_are_delivered_and_a_torn_line_is_counted(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    await kill(server, redis)
    await producers(2, server, settings)
    torn = max((settings.state_dir / "spool").iterdir())
    torn.write_bytes(torn.read_bytes() + b'{"id":"evt_never_ans')
    await revive(server, redis)
    fates: Counter[str] = Counter()
    async with EventLog(redis, settings, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        log.record(event(400), tier=TIER, text="")
        await until(lambda: log.backlog == 0)
    assert sorted(await ids(redis)) == sorted(numbered(0, 401))
    assert fates == {"replayed": 400, "stream": 1, "dropped-torn": 1}
    assert list((settings.state_dir / "spool").iterdir()) == []


@pytest.mark.parametrize(("log_text", "there"), [("none", False), ("all", True)])
async def test_the_spool_holds_text_only_as_the_tier_allows(
    server: EmbeddedRedis, redis: Connection, settings: Settings, log_text: str, there: bool
) -> None:
    await kill(server, redis)
    async with EventLog(redis, settings) as log:
        log.record(event(1), tier=tier(log_text), text="the text")
    (left,) = (settings.state_dir / "spool").iterdir()
    assert (b"the text" in left.read_bytes()) is there


async def test_a_disk_that_refuses_leaves_events_in_memory_and_raises_nothing(
    server: EmbeddedRedis, redis: Connection, settings: Settings
) -> None:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / "spool").write_text("a file where the folder should be")
    fates: Counter[str] = Counter()
    async with EventLog(redis, settings, on_fate=lambda fate, count: fates.update({fate: count})) as log:
        log.record(event(1), tier=TIER, text="")
        await until(lambda: log.backlog == 0)
        assert await ids(redis) == ["evt_1"]
        await kill(server, redis)
        log.record(event(2), tier=TIER, text="")
    assert fates == {"memory": 2, "stream": 1, "dropped-disk": 1}


async def test_a_batch_is_sent_again_when_redis_has_been_another_process_meanwhile(
    server: EmbeddedRedis, redis: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have confirmed what it had not yet written to its file."""
    is_kept = EventLog._is_kept

    async def after_a_restart(log: EventLog, run_id: str | None) -> bool:
        monkeypatch.undo()
        await redis.execute("DEL", STREAM)  # what a kill at the wrong moment does
        await kill(server, redis)
        await revive(server, redis)
        for _ in range(5):  # connections to the dead one must not be what gives it away
            with contextlib.suppress(RedisError):
                await redis.execute("PING")
        assert not await is_kept(log, run_id)
        return False

    monkeypatch.setattr(EventLog, "_is_kept", after_a_restart)
    async with EventLog(redis, settings) as log:
        log.record(event(1), tier=TIER, text="")
        await until(lambda: log.backlog == 0)
    assert await ids(redis) == ["evt_1"]
