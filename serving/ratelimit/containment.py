"""What this process adds to an admission from what it has heard of misbehaviour, so that Redis is asked only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptation, Adaptive
from serving.ratelimit.limits import Charge, Demand, Weighed
from serving.ratelimit.storage import LocalStorage, StorageFullError


class Containment:
    """Holds strangers at a misbehaving address together, and keeps the books of the shadow mode.

    An address is never punished as a whole: whoever has a history there keeps the limits that it has earned. Callers
    without one share a single account at the address, lowered by its factor: else everyone who makes up keys would
    get a first request with each. The account is this process's, so of several `replicas` each gives out its share.
    """

    def __init__(self, memory: Memory, local: LocalStorage, *, replicas: int = 1) -> None:
        self._memory = memory
        self._local = local
        self._replicas = replicas

    def adaptation(self, principal: str, address: str, adaptive: Adaptive, charges: Sequence[Charge]) -> Adaptation:
        """What to tell the storage about this caller; `address` may be the principal itself."""
        at_address = 1.0 if address == principal else self._memory.factor(address)
        wait_us = 0
        if at_address < 1:
            wait_us = self._local.wait_us(_strangers(address), self._together(charges, at_address))
        return Adaptation(adaptive, self._memory.recalled(principal), at_address, wait_us)

    async def settle(self, principal: str, address: str, demand: Demand, weighed: Weighed) -> bool:
        """Note what the storage answered. True if shadow mode let through what would have been refused."""
        adaptation, price = demand.adaptation, weighed.price
        if adaptation is None:
            return False
        if weighed.standing is not None:
            self._memory.learn(principal, weighed.standing, weighed.now_us, adaptation.adaptive)
        if not weighed.admitted:
            return False
        shadow = adaptation.adaptive.mode == "shadow" and not price.enforced
        if price.fresh and adaptation.address_factor < 1 and (shadow or price.enforced):
            await self._charge(_strangers(address), self._together(demand.charges, adaptation.address_factor))
        if not shadow or not price.lowered:
            return False
        lowered = replace(demand, factor=demand.factor * price.factor, concurrent=0, adaptation=None, known_us=())
        return price.wait_us > 0 or not await self._charge(f"shadow {principal}", lowered)

    async def _charge(self, account: str, demand: Demand) -> bool:
        try:
            return (await self._local.hit(account, demand)).admitted
        except StorageFullError:
            return True

    def _together(self, charges: Sequence[Charge], factor: float) -> Demand:
        return Demand(tuple(charge for charge in charges if charge.limit.adaptive), factor / self._replicas)


def _strangers(address: str) -> str:
    return f"strangers at {address}"
