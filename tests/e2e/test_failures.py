"""Kill what can be killed while requests arrive: nothing is ever allowed without a judgement, and it all comes back."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.conftest import Server, StartServer
from tests.tiny_bundle import ATTACK, CLEAN


@pytest.fixture(scope="module")
def server(start_server: StartServer, generous_policy: Path) -> Server:
    return start_server(policy_path=str(generous_policy))


class Load:
    """A few clients that ask without a pause; every answer is looked at."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.statuses: Counter[int | str] = Counter()
        self.wrong: list[str] = []

    async def one(self, client: httpx.AsyncClient, text: str, action: str) -> None:
        try:
            answer = await client.post(self._url + "/classify", json={"text": text})
        except httpx.TransportError:
            self.statuses["no answer"] += 1
            await asyncio.sleep(0.02)
            return
        self.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            body = answer.json()
            if len(body["scores"]) != 7 or body["action"] != action or not body["coverage"]["complete"]:
                self.wrong.append(answer.text)
        elif answer.headers["content-type"] != "application/problem+json":
            self.wrong.append(answer.text)

    async def run(self, stopped: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            while not stopped.is_set():
                await self.one(client, ATTACK, "block")
                await self.one(client, CLEAN, "allow")


@asynccontextmanager
async def under_load(server: Server) -> AsyncIterator[Load]:
    load, stopped = Load(server.url), asyncio.Event()
    clients = [asyncio.create_task(load.run(stopped)) for _ in range(4)]
    try:
        await until(lambda: load.statuses[200] > 20)
        yield load
    finally:
        stopped.set()
        await asyncio.gather(*clients)


async def until(condition: Callable[[], bool], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  what is awaited happens in another process
            await asyncio.sleep(0.02)


def succeeded_since(load: Load) -> Callable[[], bool]:
    before = load.statuses[200]
    return lambda: load.statuses[200] > before + 20


async def test_redis_may_be_killed_under_load(server: Server) -> None:
    """This policy denies without Redis: 503 until the server of our own is back, then judgements again."""
    async with under_load(server) as load:
        server.redis().kill()
        await until(lambda: load.statuses[503] > 0 or "started again" in server.log.read_text())
        await until(succeeded_since(load))
    assert load.wrong == []
    assert set(load.statuses) <= {200, 503}
    ready = await asyncio.to_thread(httpx.get, server.url + "/readyz")
    assert ready.json()["redis"]["state"] == "up"


async def test_a_worker_may_be_killed_under_load(server: Server) -> None:
    async with under_load(server) as load:
        killed = server.worker()
        killed.kill()
        await until(lambda: load.statuses["no answer"] > 0)
        await until(succeeded_since(load))
    assert load.wrong == []
    assert set(load.statuses) <= {200, 503, "no answer"}
    assert server.worker().pid != killed.pid


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
async def test_stopping_keeps_every_event_and_leaves_no_process(
    start_server: StartServer, generous_policy: Path, how: signal.Signals
) -> None:
    """All that was answered is in the stream or the spool once the processes are gone."""
    stopping = start_server(policy_path=str(generous_policy))
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(
            *(client.post(stopping.url + "/classify", json={"text": CLEAN}) for _ in range(50))
        )
    family = stopping.family()
    stopping.stop(how)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert {answer.json()["id"] for answer in answers} <= kept_events(stopping.state_dir)


def kept_events(state_dir: Path) -> set[str]:
    """Ids of the events in the append-only file of Redis and in the spool."""
    files = [*state_dir.glob("redis/**/*.aof"), *state_dir.glob("spool/*")]
    text = "".join(file.read_text(errors="replace") for file in files)
    return {part.split('"', 1)[0] for part in text.split('"id":"')[1:]}
