"""Limits that all replicas share, in one atomic Redis call a demand."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from typing import cast
from urllib.parse import quote

from serving.ratelimit.limits import Demand, Row, Weighed
from serving.redis_connection import Connection, RedisRefused, Script


class RedisStorage:
    """A :class:`serving.ratelimit.storage.Storage` over a :class:`Connection`; its clock is the server's.

    All keys of a principal carry it as hash tag, so that one demand lies in one slot of a Redis Cluster.
    Both methods raise :class:`serving.redis_connection.RedisError` and never wait longer than the connection does.
    """

    def __init__(self, connection: Connection, *, script: str | None = None) -> None:
        self._connection = connection
        self._script = Script(script or read_script())

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        """Admit and charge the demand on all replicas, or charge nothing."""
        tag = _tag(principal)
        keys = [f"weir:lease:{tag}", *(f"weir:limit:{tag}:{charge.limit.name}" for charge in demand.charges)]
        args: list[str | int] = [repr(demand.factor), demand.lease_id, demand.concurrent, demand.lease_us]
        for charge in demand.charges:
            limit = charge.limit
            args += [limit.interval_us, limit.window_us, repr(charge.cost), int(limit.adaptive)]
        return _weighed(cast("Sequence[int]", await self._connection.run_script(self._script, keys, args)))

    async def release(self, principal: str, lease_id: str) -> None:
        """Give a lease back."""
        await self._connection.execute("ZREM", f"weir:lease:{_tag(principal)}", lease_id)


def read_script() -> str:
    """The text of gcra.lua."""
    return resources.files(__package__).joinpath("gcra.lua").read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1024)
def _tag(principal: str) -> str:
    # A brace inside a name would end the hash tag early, and an empty tag is none: both would scatter the keys.
    return "{" + (quote(principal, safe=":@/", errors="surrogatepass") or "%") + "}"


def _weighed(reply: Sequence[int]) -> Weighed:
    try:
        admitted, full, held, *numbers = reply
        rows = tuple(Row(*numbers[at : at + 3]) for at in range(0, len(numbers), 3))
    except (TypeError, ValueError) as error:
        raise RedisRefused("the limit script answered in an unknown shape") from error
    return Weighed(bool(admitted), rows, held, bool(full))
