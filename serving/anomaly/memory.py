"""Whose limits are lowered at the moment, as far as this process has heard."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from serving.anomaly.standing import NO_PIN, Adaptive, Standing, counting, factor_at


class Memory:
    """Callers with a lowered factor, on this process's clock; the longest unheard of are forgotten first.

    It lets an admission know the factor of an address without asking Redis for it, and keeps a factor over the loss
    of Redis or of its data. Nobody gets into it who has all room.
    """

    def __init__(self, clock_us: Callable[[], int], *, max_callers: int = 10_000) -> None:
        self._clock_us = clock_us
        self._max_callers = max_callers
        self._lowered: OrderedDict[str, tuple[Standing, Adaptive]] = OrderedDict()

    @property
    def lowered(self) -> int:
        """How many callers are lowered or banned now."""
        now_us = self._clock_us()
        return sum(_held(standing, now_us, adaptive) for standing, adaptive in self._lowered.values())

    def learn(self, caller: str, standing: Standing, now_us: int, adaptive: Adaptive) -> None:
        """Note a caller's standing as somebody with the time `now_us` told it, unless more is known already."""
        remembered = self.recalled(caller)
        if remembered is None and not _held(standing, now_us, adaptive):
            return
        told = standing.moved(-now_us)
        counts = counting(told, remembered, 0) or told
        if counts is not told:
            self._lowered[caller] = counts.moved(self._clock_us()), adaptive  # but an operator's word is the latest
            return
        self._lowered.pop(caller, None)
        if _held(told, 0, adaptive):
            self._lowered[caller] = (told.moved(self._clock_us()), adaptive)
            if len(self._lowered) > self._max_callers:
                self._lowered.popitem(last=False)

    def unpin(self, caller: str) -> None:
        """Redis has nothing of a caller: what an operator once said of it was taken back."""
        known = self._lowered.get(caller)
        if known is not None and known[0].pin != NO_PIN:
            standing, adaptive = known
            self._lowered[caller] = standing.unpinned, adaptive
            if not _held(standing.unpinned, self._clock_us(), adaptive):
                del self._lowered[caller]

    def recalled(self, caller: str) -> Standing | None:
        """What was last known of a caller whose factor was lowered, its times counted from now."""
        known = self._lowered.get(caller)
        return known[0].moved(-self._clock_us()) if known else None

    def factor(self, caller: str) -> float:
        """The factor of a caller now; 1 for one of whom nothing bad is known."""
        known = self._lowered.get(caller)
        if known is None:
            return 1.0
        standing, adaptive = known
        factor = factor_at(standing, self._clock_us(), adaptive)
        return factor if factor < adaptive.ceiling else 1.0


def _held(standing: Standing, now_us: int, adaptive: Adaptive) -> bool:
    return standing.pin == 0 or factor_at(standing, now_us, adaptive) < adaptive.ceiling
