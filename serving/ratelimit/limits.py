"""What a limit is, and the rule that admits or refuses a demand against several limits at once.

The rule is GCRA, the generic cell rate algorithm (ATM Forum TM 4.0): a limit is remembered as one number,
the time at which the caller will have paid everything back. Everything here is pure and counts in whole
microseconds; ``ahead`` is always "paid-back time minus now", never less than 0. ``gcra.lua`` is the same rule
on Redis; a differential test holds the two together. docs/rate-limiting.md works it through with numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from serving.anomaly.standing import NO_PRICE, Adaptation, Price, Standing

SECOND_US: Final = 1_000_000
_NAME: Final = re.compile(r"[\w-]+")  # storages keep debts by name, with other signs between the names
HIGHEST_RATE_PER_S: Final = 1_000_000.0  # one unit a microsecond, the smallest step there is


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
    interval_us: int = field(init=False)
    """Microseconds that pay for one unit; rounded up, so the rate is never faster than promised."""
    window_us: int = field(init=False)
    """Microseconds in which an empty limit is full again."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"limit {self.name!r}: a name is letters, digits, _ and -")
        if not 0 < self.rate_per_s <= HIGHEST_RATE_PER_S:
            raise ValueError(f"limit {self.name!r}: rate_per_s must be in (0, {HIGHEST_RATE_PER_S:g}]")
        if self.burst < 1:
            raise ValueError(f"limit {self.name!r}: burst must be at least 1")
        interval_us = math.ceil(round(SECOND_US / self.rate_per_s, 6))  # 60e6/50 is 1,200,001 with a float's dust
        object.__setattr__(self, "interval_us", interval_us)
        object.__setattr__(self, "window_us", interval_us * self.burst)


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
    ``known_us`` is by charge what the asker knows to be owed at least, whatever the storage has of it.
    """

    charges: tuple[Charge, ...]
    factor: float = 1.0
    concurrent: int = 0
    lease_id: str = ""
    lease_us: int = 60 * SECOND_US
    adaptation: Adaptation | None = None
    known_us: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise ValueError("factor must be in (0, 1]")
        if self.concurrent and not self.lease_id:
            raise ValueError("a concurrency limit needs a lease_id")

    @property
    def owed_us(self) -> tuple[int, ...]:
        """What the asker knows to be owed, by charge."""
        return self.known_us or (0,) * len(self.charges)

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

    Without a concurrency limit in the demand nobody counts leases and ``held`` is 0. ``standing`` is what the storage
    knew of the caller's behaviour at ``now_us``, its own time, and ``price`` what follows for the demand.
    """

    admitted: bool
    rows: tuple[Row, ...]
    held: int
    full: bool
    price: Price = NO_PRICE
    standing: Standing | None = None
    now_us: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
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


def terms_of(demand: Demand, price: Price, limit: Limit) -> Terms:
    """The terms on which a demand is charged on a limit."""
    if not limit.adaptive:
        return Terms(1.0, 1.0, 0, 0)
    paid = price if price.enforced else NO_PRICE
    return Terms(demand.factor, demand.factor * paid.factor, paid.longest_debt_us, paid.wait_us)


def possible_us(demand: Demand, limit: Limit) -> int:
    """The most that anybody can owe on a limit, whoever asks on whatever terms; more was made by a clock."""
    window_us = math.ceil(limit.window_us / (demand.factor if limit.adaptive else 1.0))
    if not limit.adaptive or demand.adaptation is None:
        return window_us
    return max(window_us, demand.adaptation.adaptive.longest_debt_us)


def weigh(demand: Demand, ahead_us: Sequence[int], held: int, price: Price = NO_PRICE) -> Weighed:
    """The reference rule: ``ahead_us`` per charge and ``held`` leases before the demand, all of one principal.

    A charge fits when it keeps the limit within its window, or when nothing is owed at all: so a factor can slow a
    caller down to less than one burst, never shut it out.
    """
    terms = [terms_of(demand, price, charge.limit) for charge in demand.charges]
    costs = [each.cost_us(charge) for each, charge in zip(terms, demand.charges, strict=True)]
    known = map(max, ahead_us, demand.owed_us)
    owed = [each.owed_us(ahead, charge.limit) for each, ahead, charge in zip(terms, known, demand.charges, strict=True)]
    retries = [
        max(each.wait_us, ahead + cost - max(charge.limit.window_us, cost))
        for each, ahead, cost, charge in zip(terms, owed, costs, demand.charges, strict=True)
    ]
    full = demand.concurrent > 0 and held >= demand.concurrent
    admitted = not (full or any(retries) or price.banned)
    if admitted:
        owed = [ahead + cost for ahead, cost in zip(owed, costs, strict=True)]
    rows = tuple(
        Row(ahead, units_left(ahead, charge.limit, each.factor), retry)
        for each, ahead, charge, retry in zip(terms, owed, demand.charges, retries, strict=True)
    )
    return Weighed(admitted, rows, held + (1 if admitted and demand.concurrent else 0), full, price)


def units_left(ahead: int, limit: Limit, factor: float) -> int:
    """Whole units that still fit; always one for who owes nothing."""
    left = math.floor(max(limit.window_us - ahead, 0) * factor / limit.interval_us)
    return max(left, 1) if ahead == 0 else left
