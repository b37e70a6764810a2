"""Runs senders against a limiter in the order of virtual time, and keeps what became of each request."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from benchmarks.abuse.peers import Gate
from benchmarks.abuse.traffic import MINUTE, Ask, Reply, Sender

Look = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one request of a sender of ``group``; ``honest`` is the sender, whatever the request."""

    group: str
    ask: Ask
    reply: Reply
    honest: bool = True


@dataclass(slots=True)
class Run:
    """All fates of one run, in the order of time."""

    gate: str
    fates: list[Fate] = field(default_factory=list)

    def malicious(self) -> list[Fate]:
        """The attack's own requests."""
        return [fate for fate in self.fates if fate.ask.malicious]


async def run(
    gate: Gate, senders: Iterable[Sender], *, look: Look | None = None, every_us: int = MINUTE, until_us: int = 0
) -> Run:
    """Let everybody send until nobody has anything left; ``look`` is called each ``every_us`` until ``until_us``."""
    order = count()
    waiting: list[tuple[int, int, Ask, Sender]] = []
    for sender in senders:
        first = next(sender.actor, None)
        if first is not None:
            heapq.heappush(waiting, (first.at_us, next(order), first, sender))
    result = Run(gate.name)
    looking = every_us
    while waiting or (look and looking <= until_us):
        if look and looking <= until_us and (not waiting or looking <= waiting[0][0]):
            await look(looking)
            looking += every_us
            continue
        _, _, ask, sender = heapq.heappop(waiting)
        reply = await gate.ask(ask)
        result.fates.append(Fate(sender.group, ask, reply, honest=not sender.malicious))
        try:
            following = sender.actor.send(reply)
        except StopIteration:
            continue
        heapq.heappush(waiting, (following.at_us, next(order), following, sender))
    return result
