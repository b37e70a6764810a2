"""The limiter as the service uses it: Redis while it answers, the tier's choice while it does not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from serving.anomaly.standing import Adaptive
from serving.ratelimit.answers import Admission, Reason, to_admission
from serving.ratelimit.containment import Containment, Hold
from serving.ratelimit.limits import SECOND_US, Charge, Demand, Limit, Weighed
from serving.ratelimit.storage import LocalStorage, Storage, StorageFullError
from serving.redis_connection import RedisError

OnRedisDown = Literal["local", "deny"]


class RateLimiter:
    """Admits or refuses requests. Trouble with Redis degrades an answer, it never raises and never hangs.

    ``replicas`` is how many processes share the limits when Redis is away: each then enforces its share.
    ``on_degraded`` is called with ``local`` or ``deny`` for every decision made without Redis. Without a
    ``containment`` no limit adapts.
    """

    def __init__(
        self,
        shared: Storage,
        local: LocalStorage,
        *,
        containment: Containment | None = None,
        replicas: int = 1,
        lease_s: float = 60.0,
        on_degraded: Callable[[str], None] = lambda _choice: None,
    ) -> None:
        if replicas < 1:
            raise ValueError("replicas must be at least 1")
        self._shared = shared
        self._local = local
        self._containment = containment
        self._replicas = replicas
        self._lease_us = int(lease_s * SECOND_US)
        self._on_degraded = on_degraded
        self._asking: Counter[str] = Counter()

    async def hit(
        self,
        principal: str,
        limits: Sequence[Limit],
        costs: Mapping[str, float],
        *,
        concurrent: int = 0,
        lease_id: str = "",
        factor: float = 1.0,
        adaptive: Adaptive | None = None,
        address: str = "",
        on_redis_down: OnRedisDown = "local",
    ) -> Admission:
        """Charge ``costs`` (units by limit name; a limit without a cost is charged 1) or refuse and charge nothing.

        An admitted request with ``concurrent`` holds the lease until :meth:`release` or until ``lease_s`` is over.
        With ``adaptive`` knobs the limits follow the behaviour of the principal and, for one without a history, of
        its ``address``.
        """
        with self._counted(principal):
            charges = tuple(Charge(limit, costs.get(limit.name, 1)) for limit in limits)
            known = self._local.untold(principal, charges)
            demand = Demand(charges, factor, concurrent, lease_id, self._lease_us, known_us=known)
            if not charges and not concurrent:
                return Admission(allowed=True, factor=factor)
            if demand.impossible:
                return Admission(allowed=False, reason=Reason.TOO_COSTLY, factor=factor)
            hold = None
            if adaptive and self._containment:
                hold = self._containment.hold(principal, address or principal, adaptive, charges)
                demand = replace(demand, adaptation=hold.adaptation)
            try:
                weighed = await self._shared.hit(principal, demand)
            except RedisError:
                self._local.doubt(principal)
                self._on_degraded(on_redis_down)
                return await self._without_redis(principal, hold, demand, on_redis_down)
            self._local.mirror(principal, demand, weighed)
            return await self._settled(principal, hold, demand, weighed, to_admission(demand, weighed))

    @contextlib.contextmanager
    def _counted(self, principal: str) -> Iterator[None]:
        self._asking[principal] += 1
        try:
            yield
        finally:
            self._asking[principal] -= 1
            if not self._asking[principal]:
                del self._asking[principal]

    def expects_room(
        self, principal: str, limits: Sequence[Limit], costs: Mapping[str, float], concurrent: int
    ) -> bool:
        """Whether :meth:`hit` will most likely admit, by what it answered this principal before in this process.

        What is on its way counts as much again; ask after the call was begun, which is the first of these.
        """
        return self._local.has_room(principal, limits, costs, concurrent, max(self._asking[principal], 1))

    def release(self, principal: str, lease_id: str) -> None:
        """Give a lease back, without waiting. With Redis away it lapses there by itself."""
        self._local.release(principal, lease_id)
        self._shared.release(principal, lease_id)

    async def _settled(
        self, principal: str, hold: Hold | None, demand: Demand, weighed: Weighed, admission: Admission
    ) -> Admission:
        if self._containment and hold:
            shared = not admission.degraded
            shadowed = await self._containment.settle(principal, hold, demand, weighed, shared=shared)
            return replace(admission, shadowed=shadowed)
        return admission

    async def _without_redis(self, principal: str, hold: Hold | None, demand: Demand, choice: OnRedisDown) -> Admission:
        share = _share(demand, self._replicas)
        try:
            weighed = None if choice == "deny" else await self._local.hit(principal, share)
        except StorageFullError:
            weighed = None
        if weighed is None:
            if self._containment and hold:
                self._containment.give_back(hold)
            return Admission(allowed=False, reason=Reason.UNAVAILABLE, factor=demand.factor, degraded=True)
        admission = to_admission(share, weighed, degraded=True)
        if demand.adaptation is None:
            return replace(admission, factor=demand.factor)
        return await self._settled(principal, hold, share, weighed, admission)


def _share(demand: Demand, replicas: int) -> Demand:
    """What one of several processes may grant of a demand by itself."""
    leases = max(1, demand.concurrent // replicas) if demand.concurrent else 0
    charges = tuple(
        charge if charge.limit.adaptive else replace(charge, cost=charge.cost * replicas) for charge in demand.charges
    )
    return replace(demand, charges=charges, factor=demand.factor / replicas, concurrent=leases, known_us=())
