"""Attack-like texts that many principals send at the same time: the reference rule. `patterns.lua` is the same.

A table of fingerprints, each the first of its kind; a text belongs to the nearest one within :data:`ALIKE_BITS`, or
begins a new one. What counts is how many different principals sent it in the last ten to twenty minutes, against how
many usually do: its heat. Only texts that look like attacks get here, so a popular harmless prompt heats nothing.

Nobody can push a campaign out of the table by filling it with other texts. Who begins more than :data:`MOST_OF_ONE`
patterns that nobody joins only loses its own. Patterns with fewer than three senders and those with more have places
of their own, :data:`YOUNG_PATTERNS` at least for the former, and of each kind the one seen longest ago gives way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from serving.anomaly.rule import ALIKE_BITS, GENERATION_US

MOST_PATTERNS: Final = 64
MOST_OF_ONE: Final = 3
YOUNG_PATTERNS: Final = 16
JOINED: Final = 2.5  # between two senders and three, as they are counted
SENDER_BITS: Final = 128


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of text, and who sent the first of it.

    `newer` and `older` are sets of senders, one bit each; `norm` is the usual `count` of them.
    """

    fingerprint: int
    founder: int
    seen_us: int
    turned_us: int
    count: float = 0.0
    norm: float = 0.0
    newer: int = 0
    older: int = 0


def observe_pattern(
    table: tuple[Pattern, ...], fingerprint: int, sender: int, now_us: int
) -> tuple[tuple[Pattern, ...], float]:
    """The table with one more text in it, newest first, and the heat of the text's pattern in [0, 1]."""
    alike = min(table, key=lambda each: (each.fingerprint ^ fingerprint).bit_count(), default=None)
    if alike is None or (alike.fingerprint ^ fingerprint).bit_count() > ALIKE_BITS:
        alike, table = Pattern(fingerprint, sender, now_us, now_us), _with_room(table, sender, now_us)
    others = tuple(each for each in table if each is not alike)
    pattern = _with_sender(_turned(alike, now_us), sender, now_us)
    return (pattern, *others), _heat(pattern)


def _with_room(table: tuple[Pattern, ...], sender: int, now_us: int) -> tuple[Pattern, ...]:
    """The table with a place for a pattern that the sender begins; it is in the order of being seen, newest first."""
    young = [at for at, each in enumerate(table) if _current(each, now_us) < JOINED]
    own = [at for at in young if table[at].founder == sender]
    if len(own) >= MOST_OF_ONE:
        leaves = own[-1]
    elif len(table) < MOST_PATTERNS:
        return table
    else:
        leaves = young[-1] if len(young) > YOUNG_PATTERNS else max(set(range(len(table))) - set(young))
    return table[:leaves] + table[leaves + 1 :]


def _turned(pattern: Pattern, now_us: int) -> Pattern:
    turned_us = min(pattern.turned_us, now_us)
    turns = (now_us - turned_us) // GENERATION_US
    if not turns:
        return replace(pattern, turned_us=turned_us)
    older = pattern.newer if turns == 1 else 0
    norm = _rounded(pattern.norm + (pattern.count - pattern.norm) / 32)
    return replace(pattern, turned_us=now_us, newer=0, older=older, norm=norm)


def _with_sender(pattern: Pattern, sender: int, now_us: int) -> Pattern:
    newer = pattern.newer | 1 << (sender % SENDER_BITS)
    empty = max(SENDER_BITS - (newer | pattern.older).bit_count(), 1)
    count = _rounded(SENDER_BITS * math.log(SENDER_BITS / empty))
    return replace(pattern, newer=newer, count=count, seen_us=now_us)


def _current(pattern: Pattern, now_us: int) -> float:
    return pattern.count if now_us - pattern.turned_us < 2 * GENERATION_US else 0.0


def _heat(pattern: Pattern) -> float:
    """0 up to twice as many senders as usual (at least 2), 1 from sixteen times."""
    doublings = math.log(pattern.count / (2 * max(pattern.norm, 1.0))) / math.log(2)
    return _rounded(min(max(doublings / 3, 0.0), 1.0))


def _rounded(value: float) -> float:
    return math.floor(value * 1e6 + 0.5) / 1e6
