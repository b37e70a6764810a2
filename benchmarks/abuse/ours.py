"""The limiter of this service as it is deployed: real Redis, real scripts, real watcher; only the clock is virtual.

The classifier is not run: a text's scores come from the measured distributions and its embedding from the corpus.
What is learnt from an answer is known :data:`LATENCY_US` after the request, as in service.
"""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.abuse.clock import VirtualClock, VirtualConnection
from benchmarks.abuse.corpus import Corpus, Text
from benchmarks.abuse.peers import costs_of
from benchmarks.abuse.scores import ScorePool
from benchmarks.abuse.traffic import Ask, Reply
from data.schema import Category
from serving import admission
from serving.anomaly.evidence import Evidence, weigh_scores
from serving.anomaly.fingerprint import fingerprint, hashed
from serving.anomaly.memory import Memory
from serving.anomaly.store import LocalStates, RedisStates
from serving.anomaly.watcher import RefusedKey, Sighting, Watcher
from serving.policy import Policy
from serving.principal import Caller
from serving.ratelimit.containment import Containment
from serving.ratelimit.limiter import RateLimiter
from serving.ratelimit.redis import RedisStorage
from serving.ratelimit.storage import LocalStorage
from serving.redis_keys import PATTERNS

LATENCY_US: Final = 60_000
_TAG: Final = re.compile(r"\{(.+)\}")


class Ours:
    """The limiter and what teaches it. ``cuts`` counts lowered factors by level and leading signal."""

    name = "ours"

    def __init__(
        self, policy: Policy, connection: VirtualConnection, clock: VirtualClock, corpus: Corpus, pool: ScorePool
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._corpus = corpus
        self._pool = pool
        self._due: deque[tuple[int, Sighting | RefusedKey]] = deque()
        self._machines: dict[Text, tuple[Evidence, int]] = {}
        self.cuts: dict[tuple[str, str], int] = {}
        self.degraded = 0
        memory = Memory(clock.micros)
        local = LocalStorage(clock.micros)
        self._limiter = RateLimiter(
            RedisStorage(connection), local, containment=Containment(memory, local), on_degraded=self._degraded
        )
        self._watcher = Watcher(
            RedisStates(connection),
            LocalStates(clock.micros),
            memory,
            address_knobs=admission.knobs(policy.tier("anonymous")),
            on_cut=self._cut,
        )

    async def ask(self, ask: Ask) -> Reply:
        """As :meth:`benchmarks.abuse.peers.Gate.ask`."""
        await self.settle(ask.at_us)
        return await (self._judge(ask) if ask.known else self._refuse_key(ask))

    async def settle(self, at_us: int) -> None:
        """Let the watcher learn all that it knows by ``at_us``, and move the clock there."""
        while self._due and self._due[0][0] <= at_us:
            due_us, seen = self._due.popleft()
            self._clock.advance_to(due_us)
            self._watcher.saw(seen)
            await self._watcher.drain()
        self._clock.advance_to(at_us)

    async def room(self, caller: Caller) -> tuple[float, bool]:
        """The factor of a caller now, and whether all of its room is there, budgets aside; asking costs nothing."""
        tier = self._policy.tier(caller.tier)
        found = [limit for limit in admission.limits(tier) if limit.adaptive]
        granted = await self._limiter.hit(
            caller.principal,
            found,
            {limit.name: 0.0 for limit in found},
            adaptive=tier.adaptive,
            address=caller.address,
        )
        full = all(state.remaining >= state.quota for state in granted.states)
        return granted.factor, granted.allowed and granted.factor >= 1 and full

    async def _judge(self, ask: Ask) -> Reply:
        caller, tier = ask.caller, self._policy.tier(ask.caller.tier)
        granted = await self._limiter.hit(
            caller.principal,
            admission.limits(tier),
            costs_of(ask.tokens),
            adaptive=tier.adaptive,
            address=caller.address,
            on_redis_down=tier.on_redis_down,
        )
        if granted.allowed:
            evidence, pattern = self._look(ask.text)
            sighting = Sighting(
                principal=caller.principal,
                address=caller.address,
                knobs=admission.knobs(tier),
                evidence=evidence,
                tokens=ask.tokens,
                pattern=pattern,
                roams=caller.tier == "internal",
            )
            self._due.append((ask.at_us + LATENCY_US, sighting))
        return Reply(granted.allowed, granted.retry_after_s, granted.factor, granted.anomaly)

    async def _refuse_key(self, ask: Ask) -> Reply:
        """A key that opens nothing: 401 while the address has room for it (here "admitted"), then 429."""
        tier = self._policy.tier("anonymous")
        granted = await self._limiter.hit(
            ask.caller.address, admission.refused_keys(tier), {}, adaptive=tier.adaptive, address=ask.caller.address
        )
        if granted.allowed:
            seen = RefusedKey(ask.caller.address, hashed(ask.caller.principal))
            self._due.append((ask.at_us + LATENCY_US, seen))
        return Reply(granted.allowed, granted.retry_after_s, granted.factor, granted.anomaly)

    def _look(self, text: Text) -> tuple[Evidence, int]:
        if text in self._machines:
            return self._machines[text]
        scores = self._pool.draw(text.score_class, Random(text.seed))
        points = self._pool.points
        suspect = scores[Category.INJECTION] >= points["fpr_5%"][Category.INJECTION]
        found = weigh_scores(scores, points), fingerprint(self._corpus.embedding(text, suspect=suspect))
        if text.style == "same":  # what is sent again and again
            self._machines[text] = found
        return found

    def _cut(self, level: str, signal: str) -> None:
        self.cuts[level, signal] = self.cuts.get((level, signal), 0) + 1

    def _degraded(self, _choice: str) -> None:
        self.degraded += 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the limiter costs Redis: script calls a request, and bytes of all keys of one caller."""

    calls_per_request: float
    callers: int
    mean_bytes: float
    most_bytes: int


async def footprint(connection: VirtualConnection, requests: int) -> Footprint:
    """Measured by Redis itself (MEMORY USAGE), over every caller that it remembers at the moment."""
    found: dict[str, int] = {}
    for name in await connection.execute("KEYS", "weir:*"):
        tag = _TAG.search(name.decode())
        if tag and name.decode() != PATTERNS:
            found[tag[1]] = found.get(tag[1], 0) + await connection.execute("MEMORY", "USAGE", name, "SAMPLES", 0)
    sizes = list(found.values()) or [0]
    return Footprint(connection.calls / max(requests, 1), len(found), sum(sizes) / len(sizes), max(sizes))


@asynccontextmanager
async def open_ours(policy: Policy, corpus: Corpus, pool: ScorePool) -> AsyncIterator[tuple[Ours, VirtualConnection]]:
    """The limiter over a real Redis of its own, and the connection to it."""
    clock = VirtualClock()
    with tempfile.TemporaryDirectory(prefix="weir-abuse-") as folder:
        async with VirtualConnection(clock, Path(folder)) as connection:
            yield Ours(policy, connection, clock, corpus, pool), connection
