"""What a limit is, and the rule that admits or refuses a demand against several limits at once.

The rule is GCRA, the generic cell rate algorithm (ATM Forum TM 4.0): a limit is remembered as one number,
the time at which the caller will have paid everything back. Everything here is pure and counts in whole
microseconds; ``ahead`` is always "paid-back time minus now", never less than 0. ``gcra.lua`` is the same rule
on Redis; a differential test holds the two together. docs/rate-limiting.md works it through with numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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
        return math.ceil(round(SECOND_US / self.rate_per_s, 6))  # 60e6/50 must not become 1,200,001 by a float's dust

    @property
    def window_us(self) -> int:
        """Microseconds in which an empty limit is full again."""
        return self.interval_us * self.burst


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
    leaves the window.
    ``concurrent`` is how many leases the principal may hold, 0 for any number; a lease lapses after ``lease_us``.
    """

    charges: tuple[Charge, ...]
    factor: float = 1.0
    concurrent: int = 0
    lease_id: str = ""
    lease_us: int = 60 * SECOND_US

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ValueError("factor must be in (0, 1]")
        if self.concurrent and not self.lease_id:
            raise ValueError("a concurrency limit needs a lease_id")

    def factor_of(self, limit: Limit) -> float:
        """The factor that one of the limits is counted with."""
        return self.factor if limit.adaptive else 1.0

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

    Without a concurrency limit in the demand nobody counts leases and ``held`` is 0.
    """

    admitted: bool
    rows: tuple[Row, ...]
    held: int
    full: bool


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
    """The limiter's answer to one demand. ``degraded``: decided without Redis."""

    allowed: bool
    reason: Reason | None = None
    states: tuple[LimitState, ...] = ()
    factor: float = 1.0
    degraded: bool = False

    @property
    def retry_after_s(self) -> int:
        """Whole seconds after which the refused demand would pass, were nobody else to ask; 0 when allowed."""
        return max((math.ceil(state.retry_after_us / SECOND_US) for state in self.states), default=0)

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the limits that refused."""
        return tuple(state.name for state in self.states if not state.allowed)


def weigh(demand: Demand, ahead_us: Sequence[int], held: int) -> Weighed:
    """The reference rule: ``ahead_us`` per charge and ``held`` leases before the demand, all of one principal.

    A charge fits when it keeps the limit within its window, or when nothing is owed at all: so a factor can slow a
    caller down to less than one burst, never shut it out.
    """
    factors = [demand.factor_of(charge.limit) for charge in demand.charges]
    costs = [
        math.ceil(charge.cost * charge.limit.interval_us / factor)
        for charge, factor in zip(demand.charges, factors, strict=True)
    ]
    owed = [
        _clamp(ahead, charge.limit, factor)
        for ahead, charge, factor in zip(ahead_us, demand.charges, factors, strict=True)
    ]
    retries = [
        max(0, ahead + cost - max(charge.limit.window_us, cost))
        for ahead, cost, charge in zip(owed, costs, demand.charges, strict=True)
    ]
    full = demand.concurrent > 0 and held >= demand.concurrent
    admitted = not full and not any(retries)
    if admitted:
        owed = [ahead + cost for ahead, cost in zip(owed, costs, strict=True)]
    rows = tuple(
        Row(ahead, _remaining(ahead, charge.limit, factor), retry)
        for ahead, charge, factor, retry in zip(owed, demand.charges, factors, retries, strict=True)
    )
    return Weighed(admitted, rows, held + (1 if admitted and demand.concurrent else 0), full)


def _clamp(ahead: int, limit: Limit, factor: float) -> int:
    """What can honestly be owed: a server clock that jumped back must not lock anyone out for longer."""
    return min(max(ahead, 0), math.ceil(limit.window_us / factor))


def _remaining(ahead: int, limit: Limit, factor: float) -> int:
    left = math.floor(max(limit.window_us - ahead, 0) * factor / limit.interval_us)
    return max(left, 1) if ahead == 0 else left


def to_admission(demand: Demand, weighed: Weighed, *, degraded: bool = False) -> Admission:
    """The caller's view of a storage's bare answer."""
    states = [
        _state(charge.limit, row, demand.factor_of(charge.limit))
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
    reason = None if weighed.admitted else Reason.QUOTA
    return Admission(weighed.admitted, reason, tuple(states), demand.factor, degraded)


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
