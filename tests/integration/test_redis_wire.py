"""The one connection that all calls share: order, time limits and greetings, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
import uvloop
from redis.asyncio import ConnectionPool

from serving.redis_connection import Connection
from serving.redis_wire import RedisWire

PATIENT = 5.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Connection]:
    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        yield connection


def pool(server: Connection, query: str = "") -> ConnectionPool:
    return ConnectionPool.from_url(server.url + query)


async def test_calls_at_once_get_their_own_replies_over_one_connection(server: Connection) -> None:
    wire = RedisWire(pool(server))
    try:
        replies = await asyncio.gather(*(wire.call(("ECHO", number), PATIENT) for number in range(300)))
        assert replies == [str(number).encode() for number in range(300)]
        assert len({await wire.call(("CLIENT", "ID"), PATIENT) for _ in range(3)}) == 1
    finally:
        await wire.close()


async def test_a_late_reply_fails_its_own_call_and_no_younger_one(server: Connection) -> None:
    wire = RedisWire(pool(server))
    try:
        first = await wire.call(("CLIENT", "ID"), PATIENT)
        late = asyncio.create_task(wire.call(("BLPOP", "nothing", 0.2), 0.02))
        younger = asyncio.create_task(wire.call(("ECHO", "mine"), PATIENT))
        with pytest.raises(TimeoutError):
            await late
        assert await wire.call(("CLIENT", "ID"), PATIENT) != first  # who comes now does not wait behind them
        assert await younger == b"mine"
    finally:
        await wire.close()


async def test_an_error_belongs_to_the_command_that_made_it(server: Connection) -> None:
    wire = RedisWire(pool(server))
    try:
        wrong, right = await asyncio.gather(
            wire.call(("NOSUCHCOMMAND",), PATIENT), wire.call(("ECHO", "here"), PATIENT), return_exceptions=True
        )
        assert isinstance(wrong, hiredis.ReplyError)
        assert right == b"here"
    finally:
        await wire.close()


async def test_no_command_runs_before_password_and_database_are_accepted(server: Connection) -> None:
    second = RedisWire(pool(server, "?db=1"))
    nowhere = RedisWire(pool(server, "?db=99"))
    stranger = RedisWire(pool(server, "?username=nobody&password=wrong"))
    try:
        await second.call(("SET", "in", "second"), PATIENT)
        for refused in (nowhere, stranger):
            with pytest.raises(OSError):  # noqa: PT011  a connection that was refused, whatever the reason
                await refused.call(("SET", "stray", "1"), PATIENT)
        assert await server.execute("KEYS", "*") == [b"weir:probe"]
    finally:
        for wire in (second, nowhere, stranger):
            await wire.close()


async def test_a_posted_command_goes_before_the_next_call_and_its_reply_is_nobody_elses(server: Connection) -> None:
    wire = RedisWire(pool(server))
    try:
        await wire.call(("SET", "counted", 0), PATIENT)
        for _ in range(3):
            wire.post(("INCR", "counted"))
        wire.post(("NOSUCHCOMMAND",))
        assert await wire.call(("GET", "counted"), PATIENT) == b"3"
        assert await wire.call(("ECHO", "mine"), PATIENT) == b"mine"
    finally:
        await wire.close()


async def test_a_posted_command_leaves_without_another_call_and_before_the_end(server: Connection) -> None:
    wire = RedisWire(pool(server))
    wire.post(("SET", "first", "1"))  # opens the connection
    try:
        await wire.call(("PING",), PATIENT)
        wire.post(("LPUSH", "arrived", "1"))
        assert await server.execute("BLPOP", "arrived", 4) == [b"arrived", b"1"]
        wire.post(("SET", "last", "1"))
    finally:
        await wire.close()
    while not await server.execute("EXISTS", "last"):
        pass
    assert await server.execute("GET", "first") == b"1"


async def test_what_is_posted_after_a_late_reply_is_not_lost(server: Connection) -> None:
    wire = RedisWire(pool(server))
    try:
        wire.post(("PING",))
        with pytest.raises(TimeoutError):
            await wire.call(("BLPOP", "nothing", 0.2), 0.02)
        wire.post(("LPUSH", "arrived", "1"))
        assert await server.execute("BLPOP", "arrived", 4) == [b"arrived", b"1"]
    finally:
        await wire.close()


async def test_closing_fails_what_waits(server: Connection) -> None:
    wire = RedisWire(pool(server))
    await wire.call(("PING",), PATIENT)
    waiting = asyncio.create_task(wire.call(("BLPOP", "nothing", 10), PATIENT))
    await asyncio.sleep(0)
    await wire.close()
    with pytest.raises(OSError):  # noqa: PT011  a lost connection, whatever the reason
        await waiting


def test_it_runs_on_the_event_loop_that_serves(tmp_path: Path) -> None:
    async def echo() -> object:
        async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
            return await connection.execute("ECHO", "here")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(echo()) == b"here"
