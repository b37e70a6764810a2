"""A village for property tests: bystanders at an address from which others may attack, on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from serving.anomaly.evidence import Evidence
from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptive, Knobs
from serving.anomaly.store import LocalStates
from serving.anomaly.watcher import RefusedKey, Sighting, Watcher
from serving.ratelimit import Admission, Limit, LimitState, LocalStorage, RateLimiter
from serving.ratelimit.containment import Containment
from serving.ratelimit.limits import Demand, Weighed

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
REQUESTS = Limit("requests", 1, 5)
TOKENS = Limit("tokens", 100, 1_000, "tokens")
CLEAN = Evidence(0.0, 0.0, near_threshold=False)
SURE = Evidence(1.0, 0.0, near_threshold=False)
CAMPAIGN = 1 << 63

Attack = Sequence[tuple[int, Sequence[Sighting | RefusedKey]]]


@dataclass(frozen=True)
class Bystander:
    """Somebody at the address `here` who has nothing to do with the attacks that come from there too."""

    principal: str
    hours_known: int
    own: bool = True
    quotes: tuple[bool, ...] = (False,)  # which of its texts are the campaign's, over and over

    def sends(self, number: int) -> Sighting:
        quoted = self.quotes[number % len(self.quotes)]
        return Sighting(
            self.principal,
            "here",
            Knobs(),
            SURE if quoted else CLEAN,
            50,
            pattern=CAMPAIGN if quoted else 0b1111,
            own=self.own,
        )


ESTABLISHED = Bystander("bystander", hours_known=1)
ANONYMOUS = Bystander("here", hours_known=0)
ANALYST = Bystander("analyst", hours_known=1, quotes=(True, False, False, False, False))
AGENT = Bystander("agent", hours_known=1, own=False, quotes=(True,))
NEWCOMER = Bystander("newcomer", hours_known=0)


class Village:
    """A bystander at an address, `here`, and a clock; others may attack from there too."""

    def __init__(self, bystander: Bystander = ESTABLISHED) -> None:
        self.who = bystander
        self.asked = 0
        self.now_us = START
        self.memory = Memory(self.clock)
        self.states = LocalStates(self.clock)
        self.watcher = Watcher(self.states, self.states, self.memory, address_knobs=Knobs())
        local = LocalStorage(self.clock)
        self.limiter = RateLimiter(
            WithStandings(self.clock, self.states), local, containment=Containment(self.memory, local)
        )

    def clock(self) -> int:
        return self.now_us

    async def bystander(self) -> Admission:
        limits, costs = [REQUESTS, TOKENS], {"tokens": 50}
        admission = await self.limiter.hit(self.who.principal, limits, costs, adaptive=Adaptive(), address="here")
        if admission.allowed:
            self.watcher.saw(self.who.sends(self.asked))
            self.asked += 1
        return admission

    async def lives(self, attack: Attack) -> list[Admission]:
        for _ in range(6 * self.who.hours_known):
            self.now_us += 200 * SECOND
            self.watcher.saw(replace(self.who.sends(1), own=True, evidence=CLEAN, pattern=0))
            await self.watcher.drain()
        seen = []
        for wait_us, sightings in attack:
            self.now_us += wait_us
            for sighting in sightings:
                self.watcher.saw(sighting)
            await self.watcher.drain()
            seen.append(await self.bystander())
            await self.watcher.drain()
        return seen


def rooms(village: Village, attack: Attack) -> list[tuple[LimitState, ...]]:
    return [admission.states for admission in asyncio.run(village.lives(attack))]


def quiet(attack: Attack) -> Attack:
    return [(wait_us, []) for wait_us, _ in attack]


class WithStandings(LocalStorage):
    """A storage that reads the standing of a caller where it is learnt, as the script on Redis does."""

    def __init__(self, clock_us: object, states: LocalStates) -> None:
        super().__init__(clock_us)  # type: ignore[arg-type]
        self._states = states

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        state = self._states._states.get(principal)
        if state and demand.adaptation:
            known = state.standing.moved(-self._clock_us())
            demand = replace(demand, adaptation=replace(demand.adaptation, remembered=known))
        return await super().hit(principal, demand)


async def comes_by(village: Village) -> None:
    await village.bystander()
    await village.watcher.drain()
    village.now_us += 1200 * SECOND


async def becomes_established(village: Village, name: str) -> None:
    for _ in range(6):
        village.watcher.saw(Sighting(name, "here", Knobs(), CLEAN, 50))
        await village.watcher.drain()
        village.now_us += 150 * SECOND
