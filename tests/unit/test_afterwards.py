"""What an answer need not wait for is done soon, all at once, and one fault spoils nothing else."""

from __future__ import annotations

import asyncio
import logging

import pytest

from serving.afterwards import Afterwards


async def test_calls_wait_and_are_done_in_their_order() -> None:
    done: list[int] = []
    last = asyncio.Event()
    afterwards = Afterwards()
    for number in range(3):
        afterwards.add(lambda number=number: done.append(number))
    afterwards.add(last.set)
    await asyncio.sleep(0)
    assert not done
    await asyncio.wait_for(last.wait(), 10)
    assert done == [0, 1, 2]
    afterwards.flush()
    assert done == [0, 1, 2]


async def test_flushing_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    """And what raises is counted, logged without its message, and keeps nothing else from being done."""
    done: list[str] = []
    afterwards = Afterwards(lambda: done.append("failed"))

    def fail() -> None:
        raise ValueError("quotes the text: hunter2-secret")

    for call in (lambda: done.append("first"), fail, lambda: done.append("last")):
        afterwards.add(call)
    with caplog.at_level(logging.ERROR):
        afterwards.flush()
    assert done == ["first", "failed", "last"]
    assert [record.getMessage() for record in caplog.records] == ["work after an answer failed"]
    assert "hunter2" not in caplog.text


async def test_what_comes_after_a_flush_has_a_turn_of_its_own() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    afterwards = Afterwards()
    afterwards.add(first.set)
    afterwards.flush()
    assert first.is_set()
    afterwards.add(second.set)
    await asyncio.wait_for(second.wait(), 10)
