"""Everything that is known of a caller, gathered from where it lies, and the changes that an operator may make."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from serving import admission
from serving.anomaly.standing import SECOND_US, Adaptation, Price, Standing, price
from serving.anomaly.state import State
from serving.anomaly.store import RedisStates
from serving.keys import Key, KeyTable
from serving.policy import Policy
from serving.principal import address_id, shared_address_secret
from serving.ratelimit.limits import Charge, Demand, Row, weigh
from serving.ratelimit.redis import RedisStorage
from serving.redis_connection import Connection
from serving.redis_keys import lease_key, newcomers_at
from serving.tier import Tier

_ADDRESS: Final = re.compile(r"addr_[0-9a-f]{24}(?::newcomers)?")
_KEY: Final = re.compile(r"(?P<key>key_[0-9a-f]{16})(?::[A-Za-z0-9._@:+/=-]{1,128})?")


class NoSuchCallerError(Exception):
    """What was given names no caller; the message says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that is known of one caller now: `rows` are its limits in the tier's order, `held` its leases."""

    principal: str
    tier: Tier
    now_us: int
    state: State | None
    rows: tuple[Row, ...]
    held: int

    @property
    def standing(self) -> Standing:
        """Its standing; that of a stranger if nothing is remembered."""
        return self.state.standing if self.state else Standing()

    @property
    def price(self) -> Price:
        """What its next request would be charged by, its address aside."""
        return price(self.state.standing if self.state else None, self.now_us, Adaptation(self.tier.adaptive))


class Callers:
    """Looks callers up and changes what holds for them. Every method raises :class:`RedisError`."""

    def __init__(self, redis: Connection, policy: Policy, *, address_secret: bytes | None = None) -> None:
        self._redis = redis
        self._policy = policy
        self._address_secret = address_secret
        self._states = RedisStates(redis)
        self._debts = RedisStorage(redis)
        self._keys = KeyTable(redis)

    async def named(self, text: str) -> tuple[str, Tier]:
        """The id and the tier of the caller that was meant. Raises :class:`NoSuchCallerError`."""
        if _is_address(text):
            secret = self._address_secret or await shared_address_secret(self._redis)
            return address_id(text, secret), self._policy.tier("anonymous")
        if not (_KEY.fullmatch(text) or _ADDRESS.fullmatch(text)):
            raise NoSuchCallerError("a caller is key_…, key_…:name, addr_…, addr_…:newcomers or an IP address")
        tier = self._tier(text, await self._keys.read())
        if tier is None:
            raise NoSuchCallerError(f"there is no key {text.partition(':')[0]}")
        return text, tier

    def _tier(self, principal: str, keys: Mapping[str, Key]) -> Tier | None:
        """The tier of an id; None for a key that is not in the table."""
        match = _KEY.fullmatch(principal)
        if match is None:
            return self._policy.tier("anonymous")
        tiers = [key.tier for key in keys.values() if key.id == match["key"]]
        return self._policy.tier(tiers[0]) if tiers else None

    async def look(self, principal: str, tier: Tier) -> Found:
        """What is known of a caller. Changes nothing."""
        now_us, limits = await self._now_us(), admission.limits(tier)
        debts = await self._debts.debts(principal)
        state = await self._states.read(principal)
        held = await self._redis.execute("ZCOUNT", lease_key(principal), now_us, "+inf")
        ahead = [max(debts.get(limit.name, 0) - now_us, 0) for limit in limits]
        demand = Demand(tuple(Charge(limit, 0) for limit in limits))
        found = Found(principal, tier, now_us, state, (), held)
        return replace(found, rows=weigh(demand, ahead, 0, found.price).rows)

    async def held(self) -> list[Found]:
        """Callers that are lowered, pinned or banned now, the highest score first."""
        now_us, keys = await self._now_us(), await self._keys.read()
        found = []
        for name in await self._redis.names("weir:risk:{*}"):
            caller = unquote(name.removeprefix("weir:risk:{").removesuffix("}"))
            state, tier = await self._states.read(caller), self._tier(caller, keys)
            each = Found(caller, tier or self._policy.tier("anonymous"), now_us, state, (), 0)
            if each.standing.pin >= 0 or each.price.lowered:
                found.append(each)
        return sorted(found, key=lambda each: -each.standing.score)

    async def _now_us(self) -> int:
        seconds, rest = await self._redis.execute("TIME")
        return int(seconds) * SECOND_US + int(rest)

    async def pin(self, principal: str, factor: float | None) -> None:
        """Fix a caller's factor, 0 for a ban, None to let it adapt again."""
        await self._states.pin(principal, factor)

    async def reset(self, principal: str, tier: Tier) -> None:
        """Forget a caller's behaviour and its debts on limits that a factor lowers; what it has spent stays spent.

        Of an address the newcomers there are forgiven too.
        """
        await self._states.reset(principal)
        if _ADDRESS.fullmatch(principal) and principal != newcomers_at(principal.partition(":")[0]):
            await self._states.reset(newcomers_at(principal))
        owed = [limit.name for limit in admission.limits(tier) if limit.adaptive]
        await self._debts.forgive(principal, [*owed, admission.REFUSED_KEYS])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
