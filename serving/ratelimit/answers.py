"""What a caller is told of a storage's bare answer: admitted or why not, and how much room is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from serving.anomaly.signals import shares
from serving.anomaly.standing import Standing, counting
from serving.ratelimit.limits import SECOND_US, Demand, Limit, Row, Weighed, terms_of, units_left

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


def to_admission(demand: Demand, weighed: Weighed, *, degraded: bool = False) -> Admission:
    """The caller's view of a storage's bare answer."""
    states = [
        _state(charge.limit, row, terms_of(demand, weighed.price, charge.limit).factor)
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
    factor, standing, adaptation = demand.factor, weighed.standing, demand.adaptation
    if adaptation:
        factor, standing = weighed.price.factor, counting(standing, adaptation.remembered, weighed.now_us)
    return Admission(weighed.admitted, _reason(demand, weighed), tuple(states), factor, degraded, standing)


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
    if row.remaining < units_left(0, limit, factor):
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
