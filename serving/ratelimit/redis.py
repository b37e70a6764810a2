"""Limits that all replicas share, in one atomic Redis call a demand."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from typing import Final

from serving.anomaly.standing import Adaptation, Standing, price
from serving.ratelimit.limits import Demand, Row, Weighed
from serving.redis_connection import Connection, RedisRefused, Script
from serving.redis_keys import debts_key, lease_key, risk_key
from serving.redis_wire import Reply

# Takes out of KEYS[1] the debts whose names stand in ARGV, and all of them if they cannot be read.
_FORGIVE: Final = """
local book = redis.call('GET', KEYS[1]) or ''
local names, debts, at = '', '', (book:find('\\0', 1, true) or 0) + 1
local forgiven = {}
for _, name in ipairs(ARGV) do forgiven[name] = true end
for name in book:sub(1, at - 1):gmatch('([^,]+),') do
    if not forgiven[name] then names, debts = names .. name .. ',', debts .. book:sub(at, at + 7) end
    at = at + 8
end
if names == '' or at ~= #book + 1 then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], names .. '\\0' .. debts, 'KEEPTTL')
end
"""


class RedisStorage:
    """A :class:`serving.ratelimit.storage.Storage` over a :class:`Connection`; its clock is the server's.

    All keys of a principal carry it as hash tag, so that one demand lies in one slot of a Redis Cluster.
    A demand raises :class:`serving.redis_connection.RedisError` and never waits longer than the connection does.
    """

    def __init__(self, connection: Connection, *, script: str | None = None) -> None:
        self._connection = connection
        self._script = Script(script or read_script())
        self._forgive = Script(_FORGIVE)

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        """Admit and charge the demand on all replicas, or charge nothing."""
        demand = _without_recalled_pin(demand)
        keys = (lease_key(principal), risk_key(principal), debts_key(principal))
        numbers = [demand.factor, demand.concurrent, demand.lease_us]
        for charge, owed_us in zip(demand.charges, demand.owed_us, strict=True):
            limit = charge.limit
            numbers += [limit.interval_us, limit.window_us, charge.cost, limit.adaptive, owed_us]
        adaptation, remembered = _packed(demand.adaptation)
        names = "".join(f"{charge.limit.name}," for charge in demand.charges)
        args = (demand.lease_id, struct.pack(f"<{len(numbers)}d", *numbers), adaptation, remembered, names)
        return _weighed(demand, await self._connection.run_script(self._script, keys, args))

    def release(self, principal: str, lease_id: str) -> None:
        """Give a lease back, without waiting; never before a demand that was made before."""
        self._connection.post("ZREM", lease_key(principal), lease_id)

    async def debts(self, principal: str) -> dict[str, int]:
        """By limit when all is paid back, in microseconds of the server's clock. Changes nothing.

        Empty for a key that nobody of ours wrote: the limiter refuses to read it until it is forgiven.
        """
        return _debts(await self._connection.execute("GET", debts_key(principal)))

    async def forgive(self, principal: str, limits: Sequence[str]) -> None:
        """Forget what a principal owes on the named limits."""
        await self._connection.run_script(self._forgive, (debts_key(principal),), tuple(limits))


def read_script() -> str:
    """The text of gcra.lua."""
    return resources.files(__package__).joinpath("gcra.lua").read_text(encoding="utf-8")


def _without_recalled_pin(demand: Demand) -> Demand:
    """An operator's word is kept by Redis until it is taken back, so only Redis can say what it is now."""
    adaptation = demand.adaptation
    if adaptation is None or adaptation.remembered is None:
        return demand
    return replace(demand, adaptation=replace(adaptation, remembered=adaptation.remembered.unpinned))


def _packed(adaptation: Adaptation | None) -> tuple[bytes, bytes]:
    if adaptation is None:
        return b"", b""
    return adaptation.pack(), adaptation.remembered.pack() if adaptation.remembered else b""


def _weighed(demand: Demand, reply: Reply) -> Weighed:
    try:
        shape = _shape(len(demand.charges))
        admitted, full, held, now_us, *numbers = shape.unpack_from(reply)
        rows = tuple(Row(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))
        standing = Standing.unpack(reply[shape.size :]) if len(reply) > shape.size else None
        paid = price(standing, now_us, demand.adaptation)
    except (TypeError, ValueError, struct.error) as error:
        raise RedisRefused("the limit script answered in an unknown shape") from error
    return Weighed(bool(admitted), rows, held, bool(full), paid, standing, now_us)


@functools.cache
def _shape(limits: int) -> struct.Struct:
    return struct.Struct(f"<{4 + 3 * limits}q")


def _debts(packed: bytes | None) -> dict[str, int]:
    names, _, times = (packed or b"").partition(b"\0")
    try:
        written = names.decode().split(",")[:-1]
        return dict(zip(written, map(int, struct.unpack(f"<{len(written)}d", times)), strict=True))
    except (ValueError, OverflowError, struct.error):
        return {}
