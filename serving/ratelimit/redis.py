"""Limits that all replicas share, in one atomic Redis call a demand."""

from __future__ import annotations

import struct
from dataclasses import replace
from importlib import resources

from serving.anomaly.standing import Adaptation, Standing, price
from serving.ratelimit.limits import Demand, Row, Weighed
from serving.redis_connection import Connection, RedisRefused, Script
from serving.redis_keys import lease_key, limit_key, risk_key
from serving.redis_wire import Reply


class RedisStorage:
    """A :class:`serving.ratelimit.storage.Storage` over a :class:`Connection`; its clock is the server's.

    All keys of a principal carry it as hash tag, so that one demand lies in one slot of a Redis Cluster.
    A demand raises :class:`serving.redis_connection.RedisError` and never waits longer than the connection does.
    """

    def __init__(self, connection: Connection, *, script: str | None = None) -> None:
        self._connection = connection
        self._script = Script(script or read_script())

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        """Admit and charge the demand on all replicas, or charge nothing."""
        demand = _without_recalled_pin(demand)
        keys = [lease_key(principal), risk_key(principal)]
        keys += [limit_key(principal, charge.limit.name) for charge in demand.charges]
        numbers = [demand.factor, demand.concurrent, demand.lease_us]
        for charge, owed_us in zip(demand.charges, demand.owed_us, strict=True):
            limit = charge.limit
            numbers += [limit.interval_us, limit.window_us, charge.cost, limit.adaptive, owed_us]
        adaptation, remembered = _packed(demand.adaptation)
        args = (demand.lease_id, struct.pack(f"<{len(numbers)}d", *numbers), adaptation, remembered)
        return _weighed(demand, await self._connection.run_script(self._script, keys, args))

    def release(self, principal: str, lease_id: str) -> None:
        """Give a lease back, without waiting; never before a demand that was made before."""
        self._connection.post("ZREM", lease_key(principal), lease_id)


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
        admitted, full, held, now_us, packed, *numbers = reply
        rows = tuple(Row(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))
        standing = Standing.unpack(packed) if packed else None
        paid = price(standing, now_us, demand.adaptation)
    except (TypeError, ValueError, struct.error) as error:
        raise RedisRefused("the limit script answered in an unknown shape") from error
    return Weighed(bool(admitted), rows, held, bool(full), paid, standing, now_us)
