"""Which windows the model reads next: the discipline of the queue, without threads or clocks.

Windows are never taken in the order of arrival. Each text is a flow of start-time fair queueing (Goyal, Vin and
Cheng, SIGCOMM 1996) in which time is counted in tokens read: a window's key is the tokens read when its text arrived
plus `PATIENCE` times the text's tokens up to and including that window. The smallest key goes first. So short texts
overtake long ones and a long document does not block anyone, yet a text of n tokens waits for at most `PATIENCE * n`
tokens of later arrivals: nothing starves.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 4
MAX_PADDING: Final = 0.15  # padded tokens over useful tokens, minus one; beyond it batching loses (measured)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One waiting window: which text it belongs to, its place there, and its length in tokens."""

    text: int
    index: int
    tokens: int
    model: Hashable


class WindowQueue:
    """Windows that wait, bounded in tokens. Not thread-safe: its owner holds a lock.

    `max_batch_tokens` is 0 where each run is one window (int8 on a CPU: padding costs more than it gains), else
    the most padded tokens of one group. A group holds windows of one model and of near-equal length.
    """

    def __init__(self, capacity_tokens: int, max_batch_tokens: int = 0) -> None:
        self.capacity_tokens = capacity_tokens
        self.max_batch_tokens = max_batch_tokens
        self.tokens = 0
        self._read = 0
        self._serial = 0
        self._heap: list[tuple[int, int]] = []
        self._tickets: dict[int, Ticket] = {}
        self._of_text: dict[int, set[int]] = {}
        self._by_length: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._tickets)

    def has_room(self, tokens: int) -> bool:
        """Whether `tokens` more may wait."""
        return self.tokens + tokens <= self.capacity_tokens

    def put(self, text: int, lengths: Sequence[int], model: Hashable = None) -> None:
        """Add the windows of one text, given their lengths in tokens; the caller has asked `has_room`."""
        key = self._read
        serials = self._of_text.setdefault(text, set())
        for index, length in enumerate(lengths):
            key += PATIENCE * length
            self._serial += 1
            self._tickets[self._serial] = Ticket(text, index, length, model)
            serials.add(self._serial)
            heapq.heappush(self._heap, (key, self._serial))
            if self.max_batch_tokens:
                bisect.insort(self._by_length, (length, self._serial))
        self.tokens += sum(lengths)

    def take(self) -> list[Ticket]:
        """Remove and return the next group to run; empty if nothing waits."""
        while self._heap:
            _, serial = heapq.heappop(self._heap)
            if serial in self._tickets:
                group = [serial, *self._neighbours(serial)] if self.max_batch_tokens else [serial]
                taken = [self._remove(each) for each in group]
                self._read += sum(ticket.tokens for ticket in taken)
                return taken
        return []

    def drop(self, text: int) -> None:
        """Forget every waiting window of a text whose caller is gone."""
        for serial in tuple(self._of_text.get(text, ())):
            self._remove(serial)

    def _remove(self, serial: int) -> Ticket:
        ticket = self._tickets.pop(serial)
        self.tokens -= ticket.tokens
        serials = self._of_text[ticket.text]
        serials.discard(serial)
        if not serials:
            del self._of_text[ticket.text]
        if self.max_batch_tokens:
            del self._by_length[bisect.bisect_left(self._by_length, (ticket.tokens, serial))]
        return ticket

    def _neighbours(self, serial: int) -> list[int]:
        """Serials of windows near in length to the given one, as many as one padded group holds."""
        first = self._tickets[serial]
        at = bisect.bisect_left(self._by_length, (first.tokens, serial))
        low, high = at - 1, at + 1
        chosen: list[int] = []
        longest = useful = first.tokens
        while low >= 0 or high < len(self._by_length):
            below = self._by_length[low] if low >= 0 else None
            above = self._by_length[high] if high < len(self._by_length) else None
            take_below = above is None or (below is not None and first.tokens - below[0] <= above[0] - first.tokens)
            length, candidate = (below if take_below else above) or (0, 0)
            low, high = (low - 1, high) if take_below else (low, high + 1)
            padded = max(longest, length) * (len(chosen) + 2)
            if padded > self.max_batch_tokens or padded > (1 + MAX_PADDING) * (useful + length):
                break
            if self._tickets[candidate].model == first.model:
                chosen.append(candidate)
                longest, useful = max(longest, length), useful + length
        return chosen
