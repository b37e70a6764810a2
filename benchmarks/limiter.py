"""What the limiter costs: Redis' time beside a bare one-key GCRA, and how long a request waits for its answer.

    python -m benchmarks.limiter [--rounds N] [--seconds N]

Both scripts run on the same embedded server, in turns, for callers whose behaviour is known, with room for all. Redis
works on one core, so the CPU time of a call, as the server counts it, says how many a second it can give, however slow
the client is; the commands come 50 at a time, one from each connection, and 16 from each of 8. A lease goes back by a
second command, for which nobody waits: the second ratio counts it too. The waiting time is of 1,000 requests a second
in one event loop, learning included, each counted from when it was due. Results are printed and written to
var/bench/limiter.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import unquote

import hiredis

from benchmarks.gateway import quantile
from serving import admission
from serving.anomaly.evidence import NO_EVIDENCE
from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptation
from serving.anomaly.state import State
from serving.anomaly.store import LocalStates, RedisStates
from serving.anomaly.watcher import Sighting, Watcher
from serving.composition import monotonic_us, settle
from serving.policy import load_policy
from serving.ratelimit.containment import Containment
from serving.ratelimit.limiter import RateLimiter
from serving.ratelimit.limits import Charge, Demand
from serving.ratelimit.redis import RedisStorage, read_script
from serving.ratelimit.storage import LocalStorage
from serving.redis_connection import Connection, RedisDown, Script
from serving.redis_keys import lease_key, risk_key
from serving.redis_wire import Reply, Word
from serving.tier import Tier

OUTPUT: Final = Path("var/bench/limiter.json")
CALLERS: Final = 4_000  # each with one call in a round
ROOM: Final = 1_000_000
RATE: Final = 1_000  # requests a second
SHAPES: Final = ((50, 1), (8, 16))  # connections, commands of each at a time

# One limit, one key, nothing else: the least that GCRA can be.
BARE: Final = Script("""
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local ahead = math.max((redis.call('GET', KEYS[1]) or now) - now, 0) + ARGV[1]
if ahead > tonumber(ARGV[2]) then return { 0, ahead } end
redis.call('SET', KEYS[1], now + ahead, 'PX', math.ceil(ahead / 1000))
return { 1, ahead }
""")


class _Overheard(Connection):
    """Tells what the limiter would send, and sends nothing."""

    command: tuple[Word, ...] = ()

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Reply:
        self.command = ("EVALSHA", script.sha, len(keys), *keys, *args)
        raise RedisDown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limiter", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        report = asyncio.run(_measure(Path(folder), options.rounds, options.seconds))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=2) + "\n")
    return 0


async def _measure(folder: Path, rounds: int, seconds: int) -> dict[str, float]:
    tier = _roomy(load_policy().tier("authenticated"))
    report: dict[str, float] = {}
    async with Connection(None, folder, timeout_s=5.0) as connection:
        commands = await _commands(connection, tier)
        for connections, at_once in SHAPES:
            ours, bare, back = await _redis_time(connection, commands, rounds, connections, at_once)
            name, call, all_ = f"{connections}x{at_once}", round(bare / ours, 3), round(bare / (ours + back), 3)
            report |= {f"ours_us_{name}": ours, f"bare_us_{name}": bare, f"back_us_{name}": back}
            report |= {f"ratio_of_calls_{name}": call, f"ratio_of_requests_{name}": all_}
            print(
                f"Redis, {connections} connections with {at_once} at once: {ours:.1f} us a call, a bare GCRA {bare:.1f}"
                f" -> {call:.2f} of its calls a second (goal: 0.5), {all_:.2f} with leases given back"
            )
        waits = await _waits(connection, tier, seconds)
    report |= {"wait_p50_ms": quantile(waits, 0.5), "wait_p99_ms": quantile(waits, 0.99)}
    print(f"limiter at {RATE} requests/s: p50 {report['wait_p50_ms']} ms, p99 {report['wait_p99_ms']} ms (goal: 2)")
    return report


async def _commands(connection: Connection, tier: Tier) -> dict[str, list[bytes]]:
    """What each side sends in a round, for callers and scripts that the server knows from now on."""
    await connection.execute("SCRIPT", "LOAD", BARE.text)
    await connection.execute("SCRIPT", "LOAD", read_script())
    for number in range(CALLERS):
        await connection.execute("SET", risk_key(_caller(number)), State().pack())
    bare = [_packed("EVALSHA", BARE.sha, 1, f"bare:{number}", 60_000, 60_000 * ROOM) for number in range(CALLERS)]
    ours = [await _our_call(tier, number) for number in range(CALLERS)]
    back = [_packed("ZREM", lease_key(_caller(number)), f"lease{number}") for number in range(CALLERS)]
    return {"bare": bare, "ours": ours, "back": back}


async def _redis_time(
    connection: Connection, commands: Mapping[str, Sequence[bytes]], rounds: int, connections: int, at_once: int
) -> tuple[float, float, float]:
    """Microseconds of the server's CPU for a blocking call of ours, for a bare one and for giving a lease back."""
    assert connection.url.startswith("unix://")
    path = unquote(connection.url.removeprefix("unix://"))
    sides: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, sent in commands.items():
            before = await _cpu_s(connection)
            await asyncio.to_thread(_send, path, sent, connections, at_once)
            sides[name].append((await _cpu_s(connection) - before) / CALLERS * 1e6)
    ours_us, bare_us, back_us = (round(median(sides[name][1:]), 2) for name in ("ours", "bare", "back"))
    return ours_us, bare_us, back_us


def _roomy(tier: Tier) -> Tier:
    """The tier with room for every round: the same limits, large."""
    return replace(tier, limits=replace(tier.limits, burst=ROOM, token_burst=ROOM))


def _caller(number: int) -> str:
    return f"key_{number:016x}"


async def _our_call(tier: Tier, number: int) -> bytes:
    """What the limiter sends for a request without a past, as the service asks it."""
    overheard = _Overheard(None, Path())
    charges = tuple(Charge(limit, 1) for limit in admission.limits(tier))
    demand = Demand(
        charges,
        concurrent=tier.limits.concurrent,
        lease_id=f"lease{number}",
        adaptation=Adaptation(tier.adaptive),
    )
    with contextlib.suppress(RedisDown):
        await RedisStorage(overheard).hit(_caller(number), demand)
    return _packed(*overheard.command)


def _packed(*words: Word) -> bytes:
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # it takes any number of words
    return command


async def _cpu_s(connection: Connection) -> float:
    facts = dict(line.split(b":") for line in (await connection.execute("INFO", "cpu")).splitlines() if b":" in line)
    return float(facts[b"used_cpu_user"]) + float(facts[b"used_cpu_sys"])


def _send(path: str, commands: Sequence[bytes], connections: int, at_once: int) -> None:
    """Each connection sends some commands, then all their replies are read, and so on to the end."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(connections)]
        for wire in wires:
            wire.connect(path)
        readers = [hiredis.Reader() for _ in wires]
        for start in range(0, len(commands), connections * at_once):
            sent = []
            for number, wire in enumerate(wires):
                first = start + number * at_once
                mine = commands[first : first + at_once]
                wire.sendall(b"".join(mine))
                sent.append(len(mine))
            for wire, reader, count in zip(wires, readers, sent, strict=True):
                _read(wire, reader, count)


def _read(wire: socket.socket, reader: hiredis.Reader, count: int) -> None:
    while count:
        reply = reader.gets()
        if reply is False:
            reader.feed(wire.recv(65_536))
            continue
        if isinstance(reply, Exception):
            raise reply
        first = int.from_bytes(reply[:8], "little") if isinstance(reply, bytes) else reply
        assert (first[0] if isinstance(first, list) else first) == 1, "a refusal costs less than what is measured"
        count -= 1


async def _waits(connection: Connection, tier: Tier, seconds: int) -> list[float]:
    """Milliseconds from when a request was due to its answer; the first second is not counted."""
    memory, local = Memory(monotonic_us), LocalStorage(monotonic_us)
    limiter = RateLimiter(RedisStorage(connection), local, containment=Containment(memory, local))
    knobs = admission.knobs(tier)
    watcher = Watcher(RedisStates(connection), LocalStates(monotonic_us), memory, address_knobs=knobs)
    watching = asyncio.create_task(watcher.run())
    waits: list[float] = []

    async def request(number: int, due: float) -> None:
        caller, address, lease = _caller(number % CALLERS), f"addr_{number % CALLERS:024x}", f"lease{number}"
        granted = await limiter.hit(
            caller,
            admission.limits(tier),
            {admission.TOKENS: 20},
            concurrent=tier.limits.concurrent,
            lease_id=lease,
            adaptive=tier.adaptive,
            address=address,
        )
        waits.append((time.perf_counter() - due) * 1000)
        assert granted.allowed
        assert not granted.degraded
        limiter.release(caller, lease)
        watcher.saw(Sighting(caller, address, knobs, NO_EVIDENCE, tokens=20))

    settle()
    async with asyncio.TaskGroup() as group:
        arrive = partial(
            asyncio.get_running_loop().call_soon_threadsafe, lambda *asked: group.create_task(request(*asked))
        )
        await asyncio.to_thread(_arrivals, arrive, RATE * (seconds + 1))
    watching.cancel()
    return waits[RATE:]


def _arrivals(arrive: Callable[[int, float], object], count: int) -> None:
    """Requests at their time, from a thread of their own: the event loop's timers are a millisecond coarse."""
    begun = time.perf_counter()
    for number in range(count):
        due = begun + number / RATE
        time.sleep(max(due - time.perf_counter(), 0))
        arrive(number, due)


if __name__ == "__main__":
    sys.exit(main())
