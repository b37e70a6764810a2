"""What operators did to callers: a capped stream in Redis, written before the deed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from serving.redis_connection import Connection

AUDIT: Final = "weir:{audit}:log"
FIELD: Final = "deed"
MOST_DEEDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Deed:
    """One operator's step: who did what to whom, when (seconds since the epoch) and why.

    `before` is what held until then, for whoever has to take it back.
    """

    time: float
    operator: str
    action: str
    principal: str
    value: str
    reason: str
    before: Mapping[str, Any]


class AuditLog:
    """The stream of deeds; every method raises :class:`serving.redis_connection.RedisError`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def record(self, deed: Deed) -> None:
        """Append a deed. Returns once Redis has it."""
        await self._redis.execute("XADD", AUDIT, "MAXLEN", "~", MOST_DEEDS, "*", FIELD, orjson.dumps(deed))

    async def latest(self, count: int) -> list[Deed]:
        """The last deeds, the latest first."""
        entries = await self._redis.execute("XREVRANGE", AUDIT, "+", "-", "COUNT", count)
        return [Deed(**orjson.loads(fields[1])) for _, fields in entries]
