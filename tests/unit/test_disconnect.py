"""Work that nobody waits for: when it is stopped, and when it is left alone."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from serving import disconnect
from serving.disconnect import WhileConnected


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "PATIENCE_S", 0.0)


class Client:
    """A caller that leaves when told, and not before."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        return Request({"type": "http", "headers": []}, self.receive)


async def _work(client: Client, error: Exception | None = None) -> None:
    with WhileConnected(client.request):
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise error or asyncio.CancelledError from None


async def test_the_block_is_cancelled_once_the_caller_has_left() -> None:
    client = Client()
    asyncio.get_running_loop().call_later(0, client.gone.set)
    with pytest.raises(ClientDisconnect):
        await _work(client)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_caller_that_stays_gets_what_the_block_made() -> None:
    client = Client()
    with WhileConnected(client.request):
        for _ in range(5):
            await asyncio.sleep(0)
    client.gone.set()
    for _ in range(5):  # who leaves after the block disturbs nobody
        await asyncio.sleep(0)
    assert all(task is asyncio.current_task() for task in asyncio.all_tasks())


async def test_another_cancellation_stays_one() -> None:
    task = asyncio.create_task(_work(Client()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_block_that_raises_when_it_is_stopped_raises_its_own() -> None:
    client = Client()
    client.gone.set()
    with pytest.raises(ValueError, match="own"):
        await _work(client, ValueError("own"))
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
