"""The drain against a real Redis, killed at any moment, alone and beside others."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from data.event_codec import FIELD, STREAM, to_json
from data.event_store import INCOMPLETE, EventStore
from data.events import GROUP, Drain, read
from data.schema import Action, Category, Coverage, Direction, Event
from serving.embedded_redis import EmbeddedRedis

ROOT = Path(__file__).parents[2]
NOON = 1_800_000_000.0

EVENT = Event(
    id="evt_0",
    time=NOON,
    request_id=None,
    principal="key_1",
    tier="internal",
    address="addr_1",
    user=None,
    direction=Direction.INPUT,
    action=Action.ALLOW,
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
def client(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        yield client


@pytest.fixture
def to(tmp_path: Path) -> str:
    return str(tmp_path / "events")


def fill(client: redis.Redis, start: int, stop: int) -> None:
    """Events over three days."""
    with client.pipeline(transaction=False) as pipeline:
        for number in range(start, stop):
            event = dataclasses.replace(EVENT, id=f"evt_{number}", time=NOON + 86_400 * (number % 3))
            pipeline.xadd(STREAM, {FIELD: to_json(event)})
        pipeline.execute()


def drain_of(client: redis.Redis, to: str, consumer: str = "one", claim_after_s: float = 60, batch: int = 100) -> Drain:
    return Drain(client, EventStore(to), consumer=consumer, batch=batch, claim_after_s=claim_after_s)


def started(server: EmbeddedRedis, to: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "data.events", "drain", "--redis-url", server.url, "--to", to, *more],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def read_counts(to: str) -> Counter[str]:
    return Counter(event.id for event in read(to))


def each_once(start: int, stop: int) -> Counter[str]:
    return Counter(f"evt_{number}" for number in range(start, stop))


def test_a_drain_moves_everything_and_leaves_the_stream_empty(client: redis.Redis, to: str) -> None:
    fill(client, 0, 250)
    drained = drain_of(client, to).run()
    assert (drained.events, drained.rejected, len(drained.files)) == (250, 0, 9)  # 3 batches of 3 days
    assert read_counts(to) == each_once(0, 250)
    assert client.xlen(STREAM) == 0
    assert client.xpending(STREAM, GROUP)["pending"] == 0
    assert client.xinfo_consumers(STREAM, GROUP) == []


def test_a_second_drain_finds_only_what_is_new(client: redis.Redis, to: str) -> None:
    fill(client, 0, 10)
    drain_of(client, to).run()
    assert drain_of(client, to).run().events == 0
    fill(client, 10, 30)
    assert drain_of(client, to).run().events == 20
    assert read_counts(to) == each_once(0, 30)


def test_what_a_dead_drain_had_in_hand_is_taken_over(client: redis.Redis, to: str) -> None:
    fill(client, 0, 300)
    drain_of(client, to)._ensure_group()
    client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=120)
    assert drain_of(client, to, claim_after_s=60).run().events == 180  # it may be alive
    assert read_counts(to).total() == 180
    assert drain_of(client, to, claim_after_s=0).run().events == 120
    assert read_counts(to) == each_once(0, 300)


def test_a_drain_that_died_between_writing_and_acknowledging_leaves_no_duplicate_to_readers(
    client: redis.Redis, to: str
) -> None:
    fill(client, 0, 50)
    dead = drain_of(client, to, "dead")
    dead._ensure_group()
    (entries,) = dead._fresh()
    dead._store.write(
        [(stream_id, dataclasses.replace(EVENT, id=f"evt_{n}")) for n, (stream_id, _) in enumerate(entries)]
    )
    fill(client, 50, 60)
    assert drain_of(client, to, claim_after_s=0, batch=7).run().events == 60
    unique = {event.id for event in read(to)}
    assert unique == set(each_once(0, 60))


def test_entries_that_the_cap_cut_off_while_a_dead_drain_held_them_are_let_go(client: redis.Redis, to: str) -> None:
    fill(client, 0, 20)
    drain_of(client, to)._ensure_group()
    client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=20)
    client.xtrim(STREAM, maxlen=5, approximate=False)
    assert drain_of(client, to, claim_after_s=0).run().events == 5
    assert client.xpending(STREAM, GROUP)["pending"] == 0
    assert read_counts(to) == each_once(15, 20)


def test_what_is_no_event_is_kept_aside_and_stops_nothing(client: redis.Redis, to: str) -> None:
    fill(client, 0, 3)
    client.xadd(STREAM, {FIELD: b"\xff not json"})
    client.xadd(STREAM, {"another": "field"})
    client.xadd(STREAM, {FIELD: to_json(EVENT).replace(b'"key_1"', b"5")})  # decodes, but fits no column
    client.xadd(STREAM, {FIELD: to_json(dataclasses.replace(EVENT, time=1e18))})  # beyond what a C library can date
    fill(client, 3, 6)
    drained = drain_of(client, to).run()
    assert (drained.events, drained.rejected) == (6, 4)
    assert read_counts(to) == each_once(0, 6)
    kept = sorted((Path(to) / "rejected").iterdir())
    assert kept[0].read_bytes() == b"\xff not json"
    assert client.xlen(STREAM) == 0


def test_a_failing_disk_leaves_the_events_in_redis(client: redis.Redis, tmp_path: Path) -> None:
    fill(client, 0, 5)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        drain_of(client, str(tmp_path / "file")).run()
    assert client.xlen(STREAM) == 5


def test_killed_again_and_again_it_loses_nothing_and_reads_give_each_event_once(
    server: EmbeddedRedis, client: redis.Redis, to: str
) -> None:
    """Killed after each of a growing number of files and at random instants, while events go on arriving."""
    chance = random.Random(7)
    total = 0
    for round_ in range(5):
        fill(client, total, total + 300)
        total += 300
        process = started(server, to, "--batch", "10", "--claim-after", "0")
        seen = len(list(Path(to).rglob("*.parquet")))
        deadline = time.monotonic() + 30
        while len(list(Path(to).rglob("*.parquet"))) <= seen + round_ and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    assert client.xlen(STREAM) > 0, "no drain was killed in the middle of its work"
    last = started(server, to, "--claim-after", "0")
    _, said = last.communicate(timeout=60)
    assert last.returncode == 0, said
    assert read_counts(to) == each_once(0, total)
    assert client.xlen(STREAM) == 0
    assert client.xpending(STREAM, GROUP)["pending"] == 0


def test_several_drains_at_once_share_the_work(server: EmbeddedRedis, client: redis.Redis, to: str) -> None:
    fill(client, 0, 3000)
    drains = [started(server, to, "--batch", "50") for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in drains]
    assert [process.returncode for process in drains] == [0, 0, 0], said
    assert sum(int(line.split()[0]) for line in said) == 3000
    assert read_counts(to) == each_once(0, 3000)


def test_a_drain_that_follows_ends_at_once_when_told_to(server: EmbeddedRedis, client: redis.Redis, to: str) -> None:
    fill(client, 0, 10)
    process = started(server, to, "--follow", "--every", "600")
    assert process.stderr is not None
    assert process.stderr.readline() == f"10 events in 3 files under {to}\n"
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_without_redis_the_command_says_so(tmp_path: Path, to: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in {"REDIS_URL", "WEIR_REDIS_URL"}}
    done = subprocess.run(
        [sys.executable, "-m", "data.events", "drain", "--to", to],
        cwd=ROOT, env={**environment, "WEIR_STATE_DIR": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the events could not be moved, and stay in Redis" in done.stderr
    assert "redis.sock" in done.stderr


def test_drafts_of_killed_drains_are_never_read(client: redis.Redis, to: str) -> None:
    fill(client, 0, 3)
    drain_of(client, to).run()
    (Path(to) / INCOMPLETE / "abandoned").write_bytes(b"half a file")
    assert read_counts(to) == each_once(0, 3)
