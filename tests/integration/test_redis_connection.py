"""The embedded server's life and the breaker's, with real processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from serving.embedded_redis import LONGEST_SOCKET_PATH, EmbeddedRedis, EmbeddedRedisError
from serving.redis_breaker import FAILURES_TO_OPEN
from serving.redis_connection import Connection, RedisDown, RedisRefused, Script

PATIENT = 5.0

OWNER = """
import asyncio, sys
from pathlib import Path
from serving.redis_connection import Connection

async def main():
    async with Connection(None, Path(sys.argv[1]), timeout_s=5) as connection:
        await connection.execute("SET", "kept", "yes")
        print(connection.embedded_pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def gone(pid: int) -> None:
    """Wait until no process has this id."""
    await until(lambda: not alive(pid))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the end of a foreign process sets no event
            await asyncio.sleep(0.01)


async def answer_of(connection: Connection, *command: str) -> object:
    """The answer of a server that is just coming back."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await connection.execute(*command)
            except RedisDown:
                await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def owner(state_dir: Path) -> AsyncIterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs the embedded server; the number is the server's process id."""
    command = [sys.executable, "-c", OWNER, str(state_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - starts within milliseconds
    try:
        assert process.stdout
        yield process, int(await asyncio.to_thread(process.stdout.readline))
    finally:
        process.kill()
        process.communicate()


async def test_the_embedded_server_starts_says_so_and_ends_with_its_connection(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        pid = connection.embedded_pid
        assert pid
        assert alive(pid)
        assert await connection.execute("ECHO", "here") == b"here"
        assert connection.state.as_dict() | {"since": ""} == {"name": "embedded", "state": "up", "since": ""}
    assert not alive(pid)


async def test_a_second_process_joins_the_server_and_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    async with owner(tmp_path) as (first, pid):
        changes: asyncio.Queue[str] = asyncio.Queue()
        async with Connection(None, tmp_path, timeout_s=PATIENT, on_breaker=changes.put_nowait) as second:
            assert second.embedded_pid is None
            assert await second.execute("GET", "kept") == b"yes"
            first.kill()
            await gone(pid)
            await until(lambda: second.embedded_pid is not None)
            assert await answer_of(second, "GET", "kept") == b"yes"


async def test_a_killed_service_leaves_no_server_behind(tmp_path: Path) -> None:
    async with owner(tmp_path) as (service, pid):
        service.kill()
        await gone(pid)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        pid = connection.embedded_pid
        assert pid
        assert os.getpgid(pid) != os.getpgrp()


async def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        await connection.execute("SET", "kept", "yes")
        async with asyncio.timeout(30):
            while b"aof_buffer_length:0" not in await connection.execute("INFO", "persistence"):
                pass  # Redis puts a write off while the disk is busy with the last one
        pid = connection.embedded_pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert await answer_of(connection, "GET", "kept") == b"yes"
        assert connection.embedded_pid != pid


async def test_a_state_folder_with_a_long_or_odd_name_works(tmp_path: Path) -> None:
    long = tmp_path / ("much longer than a socket may be " * 5)
    assert len(os.fsencode(long)) > LONGEST_SOCKET_PATH
    odd = tmp_path / "50% of #1?"
    for folder in (long, odd):
        async with Connection(None, folder, timeout_s=PATIENT) as connection:
            assert await connection.execute("ECHO", "here") == b"here"
        assert (folder / "redis" / "appendonly.aof").exists()


async def test_nobody_else_may_read_the_servers_files(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o755)
    async with Connection(None, tmp_path):
        assert (tmp_path / "redis").stat().st_mode & 0o077 == 0


async def test_a_state_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedRedisError, match="WEIR_STATE_DIR or REDIS_URL"):
        await Connection(None, tmp_path / "file").start()


def test_two_starters_at_once_start_one_server(tmp_path: Path) -> None:
    one, two = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    try:
        assert [one.ensure(), two.ensure(), one.ensure()] == [True, False, False]
        assert two.pid is None
    finally:
        one.stop()
    try:
        assert two.ensure()
    finally:
        two.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_an_external_redis_that_is_down_at_start_is_joined_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    changes: asyncio.Queue[str] = asyncio.Queue()
    url = f"redis://somebody:s3cret@127.0.0.1:{port}/0"
    with caplog.at_level(logging.DEBUG):
        async with Connection(url, tmp_path, timeout_s=PATIENT, on_breaker=changes.put_nowait) as connection:
            assert changes.get_nowait() == "open"
            assert (connection.state.name, connection.state.state) == ("external", "down")
            with pytest.raises(RedisDown):
                await connection.execute("PING")
            async with Connection(None, tmp_path, timeout_s=PATIENT) as server:
                await server.execute("ACL", "SETUSER", "somebody", "on", ">s3cret", "+@all", "~*")
                await server.execute("CONFIG", "SET", "bind", "127.0.0.1")
                await server.execute("CONFIG", "SET", "port", port)
                async with asyncio.timeout(5):
                    assert await changes.get() == "closed"
                assert await connection.execute("ECHO", "here") == b"here"
                assert connection.state.state == "up"
    assert "127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_call_that_was_cut_off_leaves_no_half_read_connection(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT, max_connections=1) as connection:
        with pytest.raises(RedisDown, match="no answer within 20 ms"):
            await connection.execute("BLPOP", "nothing", 0.2, timeout_s=0.02)
        assert await connection.execute("ECHO", "mine") == b"mine"


async def test_a_cancelled_call_leaves_no_half_read_connection(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT, max_connections=1) as connection:
        await connection.execute("PING")
        call = asyncio.create_task(connection.execute("BLPOP", "nothing", 0.2))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await connection.execute("ECHO", "mine") == b"mine"


async def test_more_calls_than_connections_wait_their_turn(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT, max_connections=2) as connection:
        answers = await asyncio.gather(*(connection.execute("ECHO", str(number)) for number in range(50)))
        assert answers == [str(number).encode() for number in range(50)]


async def test_our_own_late_event_loop_does_not_count_against_redis(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=0.05) as connection:
        await connection.execute("PING")
        call = asyncio.create_task(connection.execute("ECHO", "here"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        subprocess.run(["sleep", "0.2"], check=True)  # noqa: ASYNC221 - holding up the loop is the point
        assert await call == b"here"


async def test_a_wrong_command_is_refused_and_says_nothing_about_health(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        for _ in range(2 * FAILURES_TO_OPEN):
            with pytest.raises(RedisRefused):
                await connection.execute("NOSUCHCOMMAND")
        assert connection.state.state == "up"


async def test_scripts_and_pipelines_go_through_the_same_door(tmp_path: Path) -> None:
    async def pipeline(redis: Redis) -> list[object]:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set("a", "1")
            pipe.get("a")
            return list(await pipe.execute())

    async with Connection(None, tmp_path, timeout_s=PATIENT) as connection:
        assert await connection.run(pipeline, "key") == [True, b"1"]
        double = Script("return tonumber(ARGV[1]) * 2")
        assert [await connection.run_script(double, [], [number]) for number in (2, 3)] == [4, 6]
