"""Where limits are remembered: the protocol of a storage, and the one inside this process.

:class:`LocalStorage` is the reference that Redis is tested against and what stands in while Redis is away. It is
kept warm: every answer of Redis is mirrored into it, so the fallback starts from what the caller has used already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serving.ratelimit.limits import SECOND_US, Demand, Limit, Weighed, weigh


class Storage(Protocol):
    """Remembers what principals owe. One demand is one atomic step."""

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        """Admit and charge the demand, or charge nothing."""
        ...

    def release(self, principal: str, lease_id: str) -> None:
        """Give a lease back; an unknown one is no error."""
        ...


class StorageFullError(Exception):
    """The local storage knows as many principals as it may; an unknown one cannot be judged."""


@dataclass(slots=True)
class _Account:
    paid_back_us: dict[str, int] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)

    def drop_lapsed(self, now_us: int, demand: Demand) -> None:
        self.leases = {lease: at for lease, at in self.leases.items() if now_us < at <= now_us + demand.lease_us}

    def idle(self, now_us: int) -> bool:
        return all(at <= now_us for at in self.paid_back_us.values()) and all(
            at <= now_us for at in self.leases.values()
        )


class LocalStorage:
    """Limits of at most ``max_principals`` callers in this process, on the injected monotonic ``clock_us``.

    Accounts that owe nothing are dropped when the room runs out, at most once a second. When everybody still owes
    something, an unknown principal is refused instead of a known one forgotten: else a flood of new addresses
    would wash out the debts of those who flood.
    """

    def __init__(self, clock_us: Callable[[], int], *, max_principals: int = 50_000) -> None:
        self._clock_us = clock_us
        self._max_principals = max_principals
        self._accounts: dict[str, _Account] = {}
        self._swept_us = -SECOND_US

    def __len__(self) -> int:
        return len(self._accounts)

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        """As :meth:`Storage.hit`. Raises :class:`StorageFullError` for an unknown principal without room."""
        now = self._clock_us()
        account = self._account(principal, now)
        if account is None:
            raise StorageFullError
        if demand.concurrent:
            account.drop_lapsed(now, demand)
        ahead = [max(account.paid_back_us.get(charge.limit.name, now) - now, 0) for charge in demand.charges]
        weighed = weigh(demand, ahead, len(account.leases) if demand.concurrent else 0)
        if weighed.admitted:
            for charge, row in zip(demand.charges, weighed.rows, strict=True):
                if charge.cost:
                    account.paid_back_us[charge.limit.name] = now + row.ahead_us
            if demand.concurrent:
                account.leases[demand.lease_id] = now + demand.lease_us
        return weighed

    def release(self, principal: str, lease_id: str) -> None:
        """As :meth:`Storage.release`."""
        account = self._accounts.get(principal)
        if account is not None:
            account.leases.pop(lease_id, None)

    def mirror(self, principal: str, demand: Demand, weighed: Weighed) -> None:
        """Learn what another storage answered. Debts only grow by it: answers may arrive out of order."""
        now = self._clock_us()
        account = self._account(principal, now)
        if account is None:
            return
        for charge, row in zip(demand.charges, weighed.rows, strict=True):
            known = account.paid_back_us.get(charge.limit.name, now)
            account.paid_back_us[charge.limit.name] = max(known, now + row.ahead_us)
        if weighed.admitted and demand.concurrent:
            if len(account.leases) >= demand.concurrent:
                account.drop_lapsed(now, demand)
            account.leases[demand.lease_id] = now + demand.lease_us

    def has_room(self, principal: str, limits: Sequence[Limit], costs: Mapping[str, float], concurrent: int) -> bool:
        """Whether a demand would be admitted as far as is known here; False for a principal that is not known.

        Leases that may have lapsed count.
        """
        account = self._accounts.get(principal)
        if account is None or len(account.leases) >= concurrent > 0:
            return False
        now = self._clock_us()
        return all(
            account.paid_back_us.get(limit.name, now) - now + costs.get(limit.name, 1) * limit.interval_us
            <= limit.window_us
            for limit in limits
        )

    def _account(self, principal: str, now_us: int) -> _Account | None:
        account = self._accounts.get(principal)
        if account is None:
            if len(self._accounts) >= self._max_principals:
                self._sweep(now_us)
            if len(self._accounts) >= self._max_principals:
                return None
            account = self._accounts[principal] = _Account()
        return account

    def _sweep(self, now_us: int) -> None:
        if now_us - self._swept_us < SECOND_US:
            return
        self._swept_us = now_us
        self._accounts = {name: account for name, account in self._accounts.items() if not account.idle(now_us)}
