"""Where limits are remembered: the protocol of a storage, and the one inside this process.

:class:`LocalStorage` is the reference that Redis is tested against and what stands in while Redis is away. It is
kept warm: every answer of Redis is mirrored into it, so the fallback starts from what the caller has used already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from serving.anomaly.standing import price
from serving.ratelimit.limits import SECOND_US, Charge, Demand, Limit, Weighed, possible_us, weigh

# Everybody who asked within a day owes some of a daily budget; a 24th of it is forgotten when room is needed.
FORGIVEN_BUDGET_US: Final = 3_600 * SECOND_US


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


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was charged ahead of a decision, by limit; nothing if it has to wait for `wait_us`."""

    wait_us: int
    charged_us: tuple[tuple[Limit, int], ...]


@dataclass(slots=True)
class _Account:
    paid_back_us: dict[str, int] = field(default_factory=dict)
    budgets_us: dict[str, int] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    told: tuple[Hashable, int] | None = None
    refused_until_us: int = 0

    def debts_us(self, limit: Limit) -> dict[str, int]:
        return self.paid_back_us if limit.adaptive else self.budgets_us

    def ahead_us(self, now_us: int, charges: Sequence[Charge]) -> list[int]:
        return [max(self.debts_us(charge.limit).get(charge.limit.name, now_us) - now_us, 0) for charge in charges]

    def drop_lapsed(self, now_us: int, demand: Demand) -> None:
        self.leases = {lease: at for lease, at in self.leases.items() if now_us < at <= now_us + demand.lease_us}

    def idle(self, now_us: int) -> bool:
        return (
            all(at <= now_us for at in self.paid_back_us.values())
            and all(at <= now_us for at in self.leases.values())
            and all(at <= now_us + FORGIVEN_BUDGET_US for at in self.budgets_us.values())
        )


class LocalStorage:
    """Limits of at most ``max_principals`` callers in this process, on the injected monotonic ``clock_us``.

    Accounts that owe nothing (of a daily budget: little) are dropped when the room runs out, at most once a second.
    When everybody still owes something, an unknown principal is refused instead of a known one forgotten: else a
    flood of new addresses would wash out the debts of those who flood. Of behaviour it knows what the demand brings.
    ``shard_of`` names the part of another storage that a principal's debts are in, as one part may be lost alone.
    """

    def __init__(
        self,
        clock_us: Callable[[], int],
        *,
        max_principals: int = 50_000,
        shard_of: Callable[[str], Hashable] = lambda _principal: None,
    ) -> None:
        self._clock_us = clock_us
        self._max_principals = max_principals
        self._accounts: dict[str, _Account] = {}
        self._swept_us = -SECOND_US
        self._shard_of = shard_of
        self._losses: Counter[Hashable] = Counter()

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
        paid = price(None, now, demand.adaptation)
        ahead = account.ahead_us(now, demand.charges)
        weighed = weigh(demand, ahead, len(account.leases) if demand.concurrent else 0, paid)
        weighed = replace(weighed, now_us=now)
        for charge, row, before in zip(demand.charges, weighed.rows, ahead, strict=True):
            grown = weighed.admitted and (charge.cost > 0 or row.ahead_us > before)
            if grown or before > possible_us(demand, charge.limit):
                account.debts_us(charge.limit)[charge.limit.name] = now + row.ahead_us
        if weighed.admitted:
            account.told = None
            if demand.concurrent:
                account.leases[demand.lease_id] = now + demand.lease_us
        return weighed

    def reserve(self, principal: str, demand: Demand) -> Reserved:
        """Charge a demand without leases until it is known what becomes of it. Raises as :meth:`hit`."""
        now = self._clock_us()
        account = self._account(principal, now)
        if account is None:
            raise StorageFullError
        ahead = account.ahead_us(now, demand.charges)
        weighed = weigh(demand, ahead, 0, price(None, now, demand.adaptation))
        if not weighed.admitted:
            return Reserved(max((row.retry_us for row in weighed.rows), default=0), ())
        charged = []
        for charge, row, before in zip(demand.charges, weighed.rows, ahead, strict=True):
            account.debts_us(charge.limit)[charge.limit.name] = now + row.ahead_us
            charged.append((charge.limit, row.ahead_us - before))
        return Reserved(0, tuple(charged))

    def give_back(self, principal: str, reserved: Reserved) -> None:
        """Undo a reservation."""
        account = self._accounts.get(principal)
        if account is None:
            return
        for limit, charged_us in reserved.charged_us:
            debts = account.debts_us(limit)
            if limit.name in debts:
                debts[limit.name] -= charged_us

    def release(self, principal: str, lease_id: str) -> None:
        """As :meth:`Storage.release`."""
        account = self._accounts.get(principal)
        if account is not None:
            account.leases.pop(lease_id, None)

    def doubt(self, principal: str) -> None:
        """Note that another storage may have missed something of a principal, and so of all that share its part.

        The debts of each of them are to be told to it once, and so are those of who moves to another part.
        """
        self._losses[self._shard_of(principal)] += 1

    def untold(self, principal: str, charges: Sequence[Charge]) -> tuple[int, ...]:
        """What is owed on each charge that the other storage may not know of; empty if it has been told."""
        account = self._accounts.get(principal)
        if account is None or account.told == self._told(principal):
            return ()
        return tuple(account.ahead_us(self._clock_us(), charges))

    def mirror(self, principal: str, demand: Demand, weighed: Weighed) -> None:
        """Learn what another storage answered. Debts only grow by it: answers may arrive out of order."""
        now = self._clock_us()
        known = principal in self._accounts
        account = self._account(principal, now)
        if account is None:
            return
        if not known or (demand.known_us and weighed.admitted):  # a refusal records nothing that was told
            account.told = self._told(principal)
        for charge, row in zip(demand.charges, weighed.rows, strict=True):
            debts = account.debts_us(charge.limit)
            debts[charge.limit.name] = max(debts.get(charge.limit.name, now), now + row.ahead_us)
        if not weighed.admitted:
            account.refused_until_us = now + max([SECOND_US, *(row.retry_us for row in weighed.rows)])
        if weighed.admitted and demand.concurrent:
            if len(account.leases) >= demand.concurrent:
                account.drop_lapsed(now, demand)
            account.leases[demand.lease_id] = now + demand.lease_us

    def _told(self, principal: str) -> tuple[Hashable, int]:
        """What an account's ``told`` is while all its debts are known to the other storage."""
        shard = self._shard_of(principal)
        return shard, self._losses[shard]

    def has_room(
        self, principal: str, limits: Sequence[Limit], costs: Mapping[str, float], concurrent: int, times: int
    ) -> bool:
        """Whether `times` such demands would be admitted as far as is known here; False for an unknown principal.

        Leases that may have lapsed count, and so does what another storage refused.
        """
        account = self._accounts.get(principal)
        if account is None or len(account.leases) + times > concurrent > 0:
            return False
        now = self._clock_us()
        return now >= account.refused_until_us and all(
            account.debts_us(limit).get(limit.name, now) - now + times * costs.get(limit.name, 1) * limit.interval_us
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
