"""The controller: how far a caller's limits are lowered, from what is remembered of its offences.

Multiplicative cut, cool-down, additive recovery, between a floor and a ceiling: AIMD as congestion control has it
(Chiu and Jain 1989), with the shape of inspect_ai's adaptive concurrency. Recovery is a function of time alone, so
nothing has to run for it and a caller who stays away comes back to its full room. All times are microseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, Self

from serving.anomaly.signals import SIGNALS, Signal, score, signals_of

SECOND_US: Final = 1_000_000
ESTABLISHED_REQUESTS: Final = 5
ESTABLISHED_US: Final = 600 * SECOND_US
UNTROUBLED_US: Final = 600 * SECOND_US  # for so long before its first cut an address may have been misused unseen
NO_PIN: Final = -1.0
LATENESS_US: Final = 100_000  # an answer is read so much later than it was given, or a little more


class Level(StrEnum):
    """What a state is about."""

    PRINCIPAL = "principal"
    ANONYMOUS = "anonymous"
    """Whoever sends no key from an address; a caller as any other, of whom no addresses are counted."""
    ADDRESS = "address"
    """The newcomers with keys at an address, and the keys tried there that do not exist."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How a tier's limits learn; the section `adaptive` of a tier in policy.yaml. docs/policy.md explains the fields.

    Together `cool_down_s` and `recovery_s` are the time after the last offence in which all room is back.
    """

    mode: Literal["off", "shadow", "enforce"] = "enforce"
    floor: float = 0.001
    ceiling: float = 1.0
    cut: float = 0.25
    cut_interval_s: float = 1.0
    cool_down_s: float = 560.0
    recovery_s: float = 40.0
    cut_at: float = 0.8
    release_at: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.ceiling <= 1:
            raise ValueError("floor and ceiling must be in (0, 1], the floor not above the ceiling")
        if not 0 < self.cut < 1:
            raise ValueError("cut must be in (0, 1)")
        if not 0 < self.release_at <= self.cut_at < 1:
            raise ValueError("release_at and cut_at must be in (0, 1), release_at not above cut_at")
        if self.cut_interval_s < 0 or self.cool_down_s < 0 or self.recovery_s <= 0:
            raise ValueError("cut_interval_s and cool_down_s must be at least 0, recovery_s above 0")

    @property
    def longest_debt_us(self) -> int:
        """No single charge at a lowered factor lasts longer, so that debts are paid when the room is back."""
        return int((self.cool_down_s + self.recovery_s) * 0.9 * SECOND_US)


USUAL: Final = Adaptive()


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the rule must know of the caller's tier. A newcomer's usual rate and cost are guessed from its limits."""

    adaptive: Adaptive = USUAL
    requests_per_minute: float = 50
    tokens_per_minute: float = 100_000
    largest_tokens: float = 25_000
    level: Level = Level.PRINCIPAL


@dataclass(frozen=True, slots=True)
class Standing:
    """The part of a caller's state that admission reads.

    `factor` is what the last offence left and `bad_us` when that was; `since_us` is the first observation, `good` how
    many judged requests gave no cause (an offence halves it until it is enough; then only a cut takes it away). `pin`
    is an operator's word: a fixed factor, 0 for a ban, :data:`NO_PIN` for none. `suspicions` are the gathered steps by
    signal, as they were at `seen_us`. `trouble_us` is the first cut of those that followed one another within an hour.
    """

    factor: float = 1.0
    bad_us: int = 0
    since_us: int = 0
    good: int = 0
    pin: float = NO_PIN
    seen_us: int = 0
    trouble_us: int = 0
    suspicions: tuple[float, ...] = (0.0,) * len(SIGNALS)

    @property
    def signals(self) -> dict[Signal, float]:
        """What had been gathered when this caller was last seen, each in [0, 1]."""
        return signals_of(self.suspicions)

    @property
    def score(self) -> float:
        """The anomaly score when this caller was last seen."""
        return score(self.signals)

    def pack(self) -> bytes:
        """The bytes that Redis keeps: :data:`STANDING`."""
        numbers = (self.factor, self.bad_us, self.since_us, self.good, self.pin, self.seen_us, self.trouble_us)
        return STANDING.pack(*numbers, *self.suspicions)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read :meth:`pack`. Raises struct.error."""
        factor, bad, since, good, pin, seen, trouble, *suspicions = STANDING.unpack_from(packed)
        return cls(factor, int(bad), int(since), int(good), pin, int(seen), int(trouble), tuple(suspicions))

    @property
    def unpinned(self) -> Self:
        """The same without an operator's word."""
        return self if self.pin == NO_PIN else replace(self, pin=NO_PIN)

    def moved(self, by_us: int) -> Self:
        """The same on a clock that is `by_us` ahead."""
        return replace(
            self,
            bad_us=self.bad_us + by_us,
            since_us=self.since_us + by_us,
            seen_us=self.seen_us + by_us,
            trouble_us=self.trouble_us + by_us,
        )


STANDING: Final = struct.Struct(f"<{7 + len(SIGNALS)}d")


def factor_at(standing: Standing, now_us: int, adaptive: Adaptive) -> float:
    """The adaptive factor now: as cut, until the cool-down is over; then it grows evenly up to the ceiling."""
    if standing.pin > 0:
        return min(standing.pin, 1.0)
    rested_us = now_us - standing.bad_us - adaptive.cool_down_s * SECOND_US
    regained = max(rested_us, 0.0) / (adaptive.recovery_s * SECOND_US) * (adaptive.ceiling - adaptive.floor)
    return min(max(standing.factor, adaptive.floor) + regained, adaptive.ceiling)


def is_fresh(standing: Standing | None, now_us: int) -> bool:
    """Whether this caller has too little history to be told from one who was made for the occasion."""
    if standing is None or standing.good < ESTABLISHED_REQUESTS:
        return True
    return now_us - standing.since_us < ESTABLISHED_US


def is_stranger(standing: Standing | None, now_us: int, trouble_us: int) -> bool:
    """Whether this caller shares what is left to strangers at an address whose trouble began at `trouble_us`.

    No stranger is who has a history, or was there well before, with an ordinary request and without an offence.
    """
    if standing is None or not is_fresh(standing, now_us):
        return standing is None
    innocent = standing.good > 0 and standing.bad_us < standing.since_us
    return not (innocent and standing.since_us < trouble_us - UNTROUBLED_US)


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What a replica tells the limiter about one caller, besides the tier's knobs.

    `remembered` is what this process last knew of a caller with a lowered factor, its times counted from now: see
    :func:`counting`. `address_factor` and `address_wait_us` hold for a stranger (:func:`is_stranger`): its address's
    factor, and how long to wait until the address may bring in the next one. `address_trouble_us` is when the trouble
    there began, counted from now: 0 or less.
    """

    adaptive: Adaptive = USUAL
    remembered: Standing | None = None
    address_factor: float = 1.0
    address_wait_us: int = 0
    address_trouble_us: int = 0

    def pack(self) -> bytes:
        """As `gcra.lua` reads it."""
        adaptive = self.adaptive
        return _ADAPTATION.pack(
            adaptive.floor,
            adaptive.ceiling,
            adaptive.cool_down_s * SECOND_US,
            adaptive.recovery_s * SECOND_US,
            adaptive.longest_debt_us,
            adaptive.mode == "enforce",
            self.address_factor,
            self.address_wait_us,
            self.address_trouble_us,
        )


_ADAPTATION: Final = struct.Struct("<9d")


def counting(told: Standing | None, remembered: Standing | None, now_us: int) -> Standing | None:
    """Of what a store has of a caller and of what a process remembers, the one that counts.

    A memory counts if it knows of an offence later than all that the store has seen: the store was emptied, was away
    when it happened, or went back to an older copy. An operator's word is the store's, if there is one that answers:
    a process recalls it only while Redis is away.
    """
    if remembered is None:
        return told
    recalled = remembered.moved(now_us)
    if told is None:
        return recalled
    if recalled.bad_us <= told.seen_us + LATENESS_US:
        return told
    return replace(recalled, pin=told.pin)


@dataclass(frozen=True, slots=True)
class Price:
    """What follows for one demand. `lowered`: the factor is below its ceiling, so a refusal comes from it.

    A charge at a lowered factor lasts `longest_debt_us` at most. `wait_us` above 0 refuses for so long. `enforced`
    False: only to be counted (shadow mode); a pin and a ban are an operator's word and always hold. `stranger`: one
    whose address counts; nobody is one of whom an operator has spoken.
    """

    factor: float = 1.0
    lowered: bool = False
    longest_debt_us: int = 0
    wait_us: int = 0
    banned: bool = False
    enforced: bool = True
    stranger: bool = False


NO_PRICE: Final = Price()


def price(standing: Standing | None, now_us: int, adaptation: Adaptation | None) -> Price:
    """The reference rule of what a caller pays whom the store knows by this standing; `gcra.lua` has it too."""
    if adaptation is None:
        return NO_PRICE
    standing = counting(standing, adaptation.remembered, now_us)
    adaptive = adaptation.adaptive
    stranger = is_stranger(standing, now_us, now_us + adaptation.address_trouble_us)
    if standing is not None and standing.pin >= 0:
        factor = min(standing.pin, 1.0) or 1.0
        longest = adaptive.longest_debt_us if factor < 1 else 0
        return Price(factor, factor < 1, longest, banned=standing.pin == 0)
    factor = adaptive.ceiling if standing is None else factor_at(standing, now_us, adaptive)
    if stranger:
        factor = min(factor, max(adaptation.address_factor, adaptive.floor))
    lowered = factor < adaptive.ceiling
    return Price(
        factor=factor,
        lowered=lowered,
        longest_debt_us=adaptive.longest_debt_us if lowered else 0,
        wait_us=adaptation.address_wait_us if stranger else 0,
        enforced=adaptive.mode == "enforce",
        stranger=stranger,
    )
