"""Whose limits are lowered at the moment, as far as this process has heard."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from serving.anomaly.standing import NO_PIN, SECOND_US, Adaptive, Standing, counting, factor_at

FRESH_US: Final = 2 * SECOND_US  # for so long a factor holds that was not read in the admission's own call


@dataclass(frozen=True, slots=True)
class _Known:
    """What was told of one caller and when, on this process's clock; and when all its room will be back."""

    standing: Standing
    adaptive: Adaptive
    told_us: int
    until_us: float


def _known(standing: Standing, adaptive: Adaptive, told_us: int) -> _Known:
    missing = (adaptive.ceiling - standing.factor) / max(adaptive.ceiling - adaptive.floor, 1e-9)
    whole_us = standing.bad_us + (adaptive.cool_down_s + adaptive.recovery_s * min(missing, 1)) * SECOND_US
    return _Known(standing, adaptive, told_us, whole_us if standing.pin == NO_PIN else math.inf)


class Memory:
    """Callers with a lowered factor, on this process's clock; the longest unheard of are forgotten first.

    It lets an admission know the factor of an address without asking Redis for it, and keeps a factor over the loss
    of Redis or of its data. Nobody gets into it who has all room.
    """

    def __init__(self, clock_us: Callable[[], int], *, max_callers: int = 10_000) -> None:
        self._clock_us = clock_us
        self._max_callers = max_callers
        self._lowered: OrderedDict[str, _Known] = OrderedDict()

    @property
    def lowered(self) -> int:
        """How many callers are lowered or banned now."""
        now_us = self._clock_us()
        return sum(now_us < known.until_us for known in self._lowered.values())

    def learn(self, caller: str, standing: Standing, now_us: int, adaptive: Adaptive) -> None:
        """Note a caller's standing as somebody with the time `now_us` told it, unless more is known already."""
        remembered = self.recalled(caller)
        if remembered is None and not _held(standing, now_us, adaptive):
            return
        here_us, told = self._clock_us(), standing.moved(-now_us)
        counts = counting(told, remembered, 0) or told
        if counts is not told:  # but an operator's word is the latest
            self._lowered[caller] = _known(counts.moved(here_us), adaptive, here_us)
            return
        self._lowered.pop(caller, None)
        if _held(told, 0, adaptive):
            self._lowered[caller] = _known(told.moved(here_us), adaptive, here_us)
            if len(self._lowered) > self._max_callers:
                self._lowered.popitem(last=False)

    def unpin(self, caller: str) -> None:
        """Redis has nothing of a caller: what an operator once said of it was taken back."""
        known = self._lowered.get(caller)
        if known is not None and known.standing.pin != NO_PIN:
            unpinned = _known(known.standing.unpinned, known.adaptive, known.told_us)
            self._lowered[caller] = unpinned
            if not _held(unpinned.standing, self._clock_us(), unpinned.adaptive):
                del self._lowered[caller]

    def recalled(self, caller: str) -> Standing | None:
        """What was last known of a caller whose factor was lowered, its times counted from now."""
        known = self._lowered.get(caller)
        return known.standing.moved(-self._clock_us()) if known else None

    def stale(self, caller: str) -> bool:
        """Whether a lowered caller's standing should be read again; says so once in a while only."""
        known, now_us = self._lowered.get(caller), self._clock_us()
        if known is None or now_us - known.told_us < FRESH_US:
            return False
        self._lowered[caller] = replace(known, told_us=now_us)
        return True

    def factor(self, caller: str) -> float:
        """The factor of a caller now; 1 for one of whom nothing bad is known."""
        known = self._lowered.get(caller)
        if known is None:
            return 1.0
        factor = factor_at(known.standing, self._clock_us(), known.adaptive)
        return factor if factor < known.adaptive.ceiling else 1.0


def _held(standing: Standing, now_us: int, adaptive: Adaptive) -> bool:
    return standing.pin == 0 or factor_at(standing, now_us, adaptive) < adaptive.ceiling
