"""A coroutine that begins at once: what runs when, and what comes out."""

from __future__ import annotations

import asyncio

import pytest

from serving.begun import Begun


async def _work(seen: list[str], gate: asyncio.Future[str] | None) -> str:
    seen.append("begun")
    try:
        return "at once" if gate is None else await gate
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
    finally:
        seen.append("ended")


async def test_the_first_part_runs_before_anybody_awaits() -> None:
    seen: list[str] = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun = Begun(_work(seen, gate))
    assert seen == ["begun"]
    asyncio.get_running_loop().call_soon(gate.set_result, "later")
    assert await begun == "later"
    assert seen == ["begun", "ended"]


async def test_what_is_done_before_it_is_awaited_is_not_waited_for() -> None:
    seen: list[str] = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun = Begun(_work(seen, gate))
    gate.set_result("already")
    assert await begun == "already"
    assert await Begun(_work(seen, None)) == "at once"


async def test_an_error_comes_out_where_it_is_awaited() -> None:
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun = Begun(_work([], gate))
    gate.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await begun


async def test_a_cancellation_reaches_the_work() -> None:
    seen: list[str] = []
    gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        return await Begun(_work(seen, gate))

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["begun", "cancelled", "ended"]
    assert gate.cancelled()


async def test_work_that_waits_again_after_a_cancellation_is_waited_for() -> None:
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stubborn() -> str:
        try:
            await first
        except asyncio.CancelledError:
            return await second
        return "never"

    async def waits() -> str:
        return await Begun(stubborn())

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    second.set_result("in the end")
    assert await task == "in the end"


async def test_several_waits_follow_each_other() -> None:
    gates: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in range(3)]

    async def work() -> list[int]:
        return [await gate for gate in gates]

    begun = Begun(work())
    for number, gate in enumerate(gates):
        asyncio.get_running_loop().call_soon(gate.set_result, number)
    assert await begun == [0, 1, 2]
