"""What this process adds to an admission from what it has heard of misbehaviour, so that Redis is asked only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptation, Adaptive
from serving.ratelimit.limits import SECOND_US, Charge, Demand, Weighed
from serving.ratelimit.storage import LocalStorage, Reserved, StorageFullError
from serving.redis_keys import newcomers_at

FULL: Final = Reserved(SECOND_US, ())


@dataclass(frozen=True, slots=True)
class Hold:
    """What one caller's admission is weighed with, and what it has reserved at the account of its address."""

    adaptation: Adaptation
    account: str = ""
    reserved: Reserved | None = None


class Containment:
    """Holds strangers at a misbehaving address together, and keeps the books of the shadow mode.

    An address is never punished as a whole: whoever has a history there keeps the limits that it has earned. Callers
    without one share a single account at the address, lowered by its factor: else everyone who makes up keys would
    get a first request with each. The account is this process's, so of several `replicas` each gives out its share.

    Who asks may be a newcomer is only known once the storage has answered, so every caller's share is reserved before
    it is asked and given back afterwards: of newcomers that ask at the same time no more pass than of those in a row.
    ``recheck`` is told of newcomers whose standing was heard of too long ago: refused ones teach nothing new, but an
    operator may have spoken.
    """

    def __init__(
        self,
        memory: Memory,
        local: LocalStorage,
        *,
        replicas: int = 1,
        recheck: Callable[[str], None] = lambda _caller: None,
    ) -> None:
        self._recheck = recheck
        self._memory = memory
        self._local = local
        self._replicas = replicas

    def hold(self, principal: str, address: str, adaptive: Adaptive, charges: Sequence[Charge]) -> Hold:
        """What to tell the storage about this caller; `address` may be the principal itself."""
        remembered = self._memory.recalled(principal)
        if address == principal or adaptive.mode == "off":
            return Hold(Adaptation(adaptive, remembered))
        newcomers = newcomers_at(address)
        at_address = self._memory.factor(newcomers)
        standing = self._memory.recalled(newcomers)
        if standing is None or at_address == 1:
            return Hold(Adaptation(adaptive, remembered))
        if self._memory.stale(newcomers):
            self._recheck(newcomers)
        account, demand = f"together {newcomers}", self._together(adaptive, charges, at_address)
        try:
            reserved = self._local.reserve(account, demand)
        except StorageFullError:
            reserved = FULL
        told = Adaptation(adaptive, remembered, at_address, reserved.wait_us, min(standing.trouble_us, 0))
        return Hold(told, account, reserved)

    def give_back(self, hold: Hold) -> None:
        """Nothing came of the demand, or it was not a newcomer's."""
        if hold.reserved is not None:
            self._local.give_back(hold.account, hold.reserved)

    async def settle(self, principal: str, hold: Hold, demand: Demand, weighed: Weighed, *, shared: bool) -> bool:
        """Note what the storage answered, the `shared` one or the process's own.

        True if shadow mode let through what would have been refused.
        """
        adaptive, price = hold.adaptation.adaptive, weighed.price
        if weighed.standing is not None:
            self._memory.learn(principal, weighed.standing, weighed.now_us, adaptive)
        elif shared:
            self._memory.unpin(principal)
        if not (weighed.admitted and price.stranger):
            self.give_back(hold)
        if not weighed.admitted or adaptive.mode != "shadow" or price.enforced or not price.lowered:
            return False
        lowered = replace(demand, factor=demand.factor * price.factor, concurrent=0, adaptation=None, known_us=())
        return price.wait_us > 0 or not await self._charge(f"shadow {principal}", lowered)

    async def _charge(self, account: str, demand: Demand) -> bool:
        try:
            return (await self._local.hit(account, demand)).admitted
        except StorageFullError:
            return True

    def _together(self, adaptive: Adaptive, charges: Sequence[Charge], factor: float) -> Demand:
        """One newcomer's demand on the account of all, priced as a caller's at that factor: no charge lasts longer."""
        shared = tuple(charge for charge in charges if charge.limit.adaptive)
        terms = Adaptation(replace(adaptive, mode="enforce"), address_factor=factor)
        return Demand(shared, 1 / self._replicas, adaptation=terms)
