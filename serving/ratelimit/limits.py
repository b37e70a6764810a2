"""What a limit is, and the rule that admits or refuses a demand against several limits at once.

The rule is GCRA, the generic cell rate algorithm (ATM Forum TM 4.0): a limit is remembered as one number,
the time at which the caller will have paid everything back. Everything here is pure and counts in whole
microseconds; ``ahead`` is always "paid-back time minus now", never less than 0. ``gcra.lua`` is the same rule
on Redis; a differential test holds the two together. docs/rate-limiting.md works it through with numbers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from serving.anomaly.signals import shares
from serving.anomaly.standing import NO_PRICE, Adaptation, Price, Standing

SECOND_US: Final = 1_000_000
HIGHEST_RATE_PER_S: Final = 1_000_000.0  # one unit a microsecond, the smallest step there is
CONCURRENCY: Final = "concurrent"
CONCURRENCY_RETRY_US: Final = SECOND_US  # nobody knows when a running request ends; a second is polite


class Reason(StrEnum):
    """Why a demand was refused; each has its own answer to the caller."""

    QUOTA = "quota-exceeded"
    """A limit is used up for now (429)."""
    TOO_COSTLY = "too-costly"
    """One demand costs more than a whole burst, so waiting never helps (413)."""
    ABNORMAL = "abnormal-usage-detected"
    """A limit is used up that was lowered because of unusual traffic (429)."""
    BANNED = "banned"
    """An operator has shut this principal out (403)."""
    UNAVAILABLE = "limiter-unavailable"
    """Redis is down and the tier says ``deny``, or the local fallback has no room for a new caller (503)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """``rate_per_s`` units a second, sustained, with ``burst`` units at once. ``unit`` is its name on the wire (qu).

    One that is not ``adaptive`` keeps its room whatever the factor: a budget counts what was spent, and a text costs
    no more because its sender looks odd.
    """

    name: str
    rate_per_s: float
    burst: int
    unit: str = "requests"
    adaptive: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= HIGHEST_RATE_PER_S:
            raise ValueError(f"limit {self.name!r}: rate_per_s must be in (0, {HIGHEST_RATE_PER_S:g}]")
        if self.burst < 1:
            raise ValueError(f"limit {self.name!r}: burst must be at least 1")

    @property
    def interval_us(self) -> int:
        """Microseconds that pay for one unit; rounded up, so the rate is never faster than promised."""
        return _interval_us(self.rate_per_s)

    @property
    def window_us(self) -> int:
        """Microseconds in which an empty limit is full again."""
        return self.interval_us * self.burst


@functools.lru_cache(maxsize=256)
def _interval_us(rate_per_s: float) -> int:
    return math.ceil(round(SECOND_US / rate_per_s, 6))  # 60e6/50 must not become 1,200,001 by a float's dust


@dataclass(frozen=True, slots=True)
class Charge:
    """What one demand costs on one limit, in the limit's units."""

    limit: Limit
    cost: float

    def __post_init__(self) -> None:
        if not 0 <= self.cost < math.inf:
            raise ValueError(f"limit {self.limit.name!r}: cost must be a number of at least 0")


@dataclass(frozen=True, slots=True)
class Demand:
    """All that one request asks of the limiter: admitted as a whole or not at all.

    ``factor`` in (0, 1] makes every unit of an adaptive limit cost 1/factor: it lowers rate and burst together and
    leaves the window. ``adaptation`` lets the storage find the caller's own factor, which comes on top.
    ``concurrent`` is how many leases the principal may hold, 0 for any number; a lease lapses after ``lease_us``.
    """

    charges: tuple[Charge, ...]
    factor: float = 1.0
    concurrent: int = 0
    lease_id: str = ""
    lease_us: int = 60 * SECOND_US
    adaptation: Adaptation | None = None

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ValueError("factor must be in (0, 1]")
        if self.concurrent and not self.lease_id:
            raise ValueError("a concurrency limit needs a lease_id")

    @property
    def impossible(self) -> bool:
        """Whether some cost is larger than its whole burst. The lowered burst of a factor makes nothing impossible."""
        return any(charge.cost > charge.limit.burst for charge in self.charges)


@dataclass(frozen=True, slots=True)
class Row:
    """One limit after the decision: microseconds ahead, whole units left, microseconds until this cost fits."""

    ahead_us: int
    remaining: int
    retry_us: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """The bare answer of a storage: rows in the order of the demand's charges, leases held (this one included).

    Without a concurrency limit in the demand nobody counts leases and ``held`` is 0. ``price`` is what the caller's
    ``standing`` at ``now_us``, the storage's time, makes of the demand.
    """

    admitted: bool
    rows: tuple[Row, ...]
    held: int
    full: bool
    price: Price = NO_PRICE
    standing: Standing | None = None
    now_us: int = 0


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit as the caller may know it. ``next_us``: until at least one more unit; ``reset_us``: until all."""

    name: str
    unit: str
    quota: int
    window_s: int
    allowed: bool
    remaining: int
    retry_after_us: int
    next_us: int
    reset_us: int


@dataclass(frozen=True, slots=True)
class Admission:
    """The limiter's answer to one demand. ``degraded``: decided without Redis.

    ``factor`` is what the adaptive rule says; ``shadowed``: it would have refused, were it enforced. ``standing`` is
    what was known of the caller's behaviour, None for nothing.
    """

    allowed: bool
    reason: Reason | None = None
    states: tuple[LimitState, ...] = ()
    factor: float = 1.0
    degraded: bool = False
    standing: Standing | None = None
    shadowed: bool = False

    @property
    def anomaly(self) -> float:
        """The anomaly score of the caller before this demand."""
        return self.standing.score if self.standing else 0.0

    @property
    def signals(self) -> dict[str, float]:
        """What there is of evidence, each in (0, 1], what contributes most first."""
        known = self.standing.signals if self.standing else {}
        return {signal.value: known[signal] for signal in shares(known)}

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which the refused demand would pass, were nobody else to ask; 0 when allowed."""
        return max((math.ceil(state.retry_after_us / SECOND_US) for state in self.states), default=0)

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the limits that refused."""
        return tuple(state.name for state in self.states if not state.allowed)


@dataclass(frozen=True, slots=True)
class _Terms:
    """How one limit counts for one demand: as promised, lowered by ``factor``, with the longest charge and a wait."""

    promised: float
    factor: float
    longest_us: int
    wait_us: int

    def cost_us(self, charge: Charge) -> int:
        """What the charge costs; what an adaptive factor adds to it must not outlast the factor's recovery."""
        cost = charge.cost * charge.limit.interval_us
        if not self.longest_us:
            return math.ceil(cost / self.factor)
        return min(math.ceil(cost / self.factor), max(math.ceil(cost / self.promised), self.longest_us))

    def owed_us(self, ahead: int, limit: Limit) -> int:
        """What can honestly be owed: a server clock that jumped back must not lock anyone out for longer.

        A debt stays what it was when it was made: while a factor recovers, a charge at its lowest is still owed.
        """
        return min(max(ahead, 0), max(math.ceil(limit.window_us / self.promised), self.longest_us))


def _terms(demand: Demand, price: Price, limit: Limit) -> _Terms:
    if not limit.adaptive:
        return _Terms(1.0, 1.0, 0, 0)
    paid = price if price.enforced else NO_PRICE
    return _Terms(demand.factor, demand.factor * paid.factor, paid.longest_debt_us, paid.wait_us)


def weigh(demand: Demand, ahead_us: Sequence[int], held: int, price: Price = NO_PRICE) -> Weighed:
    """The reference rule: ``ahead_us`` per charge and ``held`` leases before the demand, all of one principal.

    A charge fits when it keeps the limit within its window, or when nothing is owed at all: so a factor can slow a
    caller down to less than one burst, never shut it out.
    """
    terms = [_terms(demand, price, charge.limit) for charge in demand.charges]
    costs = [each.cost_us(charge) for each, charge in zip(terms, demand.charges, strict=True)]
    owed = [
        each.owed_us(ahead, charge.limit) for each, ahead, charge in zip(terms, ahead_us, demand.charges, strict=True)
    ]
    retries = [
        max(each.wait_us, ahead + cost - max(charge.limit.window_us, cost))
        for each, ahead, cost, charge in zip(terms, owed, costs, demand.charges, strict=True)
    ]
    full = demand.concurrent > 0 and held >= demand.concurrent
    admitted = not (full or any(retries) or price.banned)
    if admitted:
        owed = [ahead + cost for ahead, cost in zip(owed, costs, strict=True)]
    rows = tuple(
        Row(ahead, _remaining(ahead, charge.limit, each.factor), retry)
        for each, ahead, charge, retry in zip(terms, owed, demand.charges, retries, strict=True)
    )
    return Weighed(admitted, rows, held + (1 if admitted and demand.concurrent else 0), full, price)


def _remaining(ahead: int, limit: Limit, factor: float) -> int:
    left = math.floor(max(limit.window_us - ahead, 0) * factor / limit.interval_us)
    return max(left, 1) if ahead == 0 else left


def to_admission(demand: Demand, weighed: Weighed, *, degraded: bool = False) -> Admission:
    """The caller's view of a storage's bare answer."""
    states = [
        _state(charge.limit, row, _terms(demand, weighed.price, charge.limit).factor)
        for charge, row in zip(demand.charges, weighed.rows, strict=True)
    ]
    if demand.concurrent:
        retry = CONCURRENCY_RETRY_US if weighed.full else 0
        remaining = max(demand.concurrent - weighed.held, 0)
        states.append(
            LimitState(
                CONCURRENCY,
                "concurrent-requests",
                demand.concurrent,
                0,
                not weighed.full,
                remaining,
                retry,
                retry,
                retry,
            )
        )
    factor = weighed.price.factor if demand.adaptation else demand.factor
    return Admission(weighed.admitted, _reason(demand, weighed), tuple(states), factor, degraded, weighed.standing)


def _reason(demand: Demand, weighed: Weighed) -> Reason | None:
    if weighed.admitted:
        return None
    if weighed.price.banned:
        return Reason.BANNED
    lowered = weighed.price.enforced and (weighed.price.lowered or weighed.price.wait_us > 0)
    # What no factor touches, leases and budgets, would have refused anyway.
    touched = any(
        row.retry_us and charge.limit.adaptive for charge, row in zip(demand.charges, weighed.rows, strict=True)
    )
    return Reason.ABNORMAL if lowered and touched else Reason.QUOTA


def _state(limit: Limit, row: Row, factor: float) -> LimitState:
    next_us = row.retry_us
    if row.remaining < _remaining(0, limit, factor):
        # One more whole unit is there once the debt has shrunk to a window without (remaining + 1) units.
        debt_then = limit.window_us - math.ceil((row.remaining + 1) * limit.interval_us / factor)
        next_us = max(next_us, row.ahead_us - max(debt_then, 0))
    return LimitState(
        name=limit.name,
        unit=limit.unit,
        quota=limit.burst,
        window_s=math.ceil(limit.window_us / SECOND_US),
        allowed=row.retry_us == 0,
        remaining=row.remaining,
        retry_after_us=row.retry_us,
        next_us=next_us,
        reset_us=row.ahead_us,
    )
