"""Watches what was answered and lets the limits learn from it, off the response path.

Sightings go into a bounded queue; one task takes them out in batches, asks for the heat of attack-like patterns, and
then tells each principal and each address what was seen of it, in one Redis call for each. While Redis is away the
reference rule goes on in this process. What does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from serving.anomaly.evidence import Evidence
from serving.anomaly.fingerprint import hashed
from serving.anomaly.memory import Memory
from serving.anomaly.signals import shares
from serving.anomaly.standing import Knobs, Level
from serving.anomaly.state import Observation
from serving.anomaly.store import States
from serving.redis_connection import RedisError

log = logging.getLogger("weir.watcher")

BATCH: Final = 32  # Redis is busy with one for about 3 ms, in which an admission may have to wait
CAPACITY: Final = 10_000
ATTACK_LIKE: Final = 0.7  # evidence at fpr_5% for injection, nearly fpr_0.1% for harm


@dataclass(frozen=True, slots=True)
class Sighting:
    """One judged text and who sent it from where. An anonymous sender's principal is its address.

    `roams` is true for callers of whom many addresses are expected, such as a gateway's own key.
    """

    principal: str
    address: str
    knobs: Knobs
    evidence: Evidence
    tokens: int
    similarity: float = 0.0
    pattern: int = 0
    roams: bool = False

    @property
    def attack_like(self) -> bool:
        """Whether the text's pattern is worth counting."""
        return self.pattern != 0 and max(self.evidence.injection, self.evidence.harm) >= ATTACK_LIKE


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """A credential that opens nothing, as its hash, tried from an address."""

    address: str
    credential: int


@dataclass(slots=True)
class _Told:
    """What one caller is to be told about in this batch."""

    knobs: Knobs
    observations: list[Observation] = field(default_factory=list)


class Watcher:
    """Learns from sightings. `address_knobs` are those of the anonymous tier, as an address is nobody in particular.

    `on_fate` is told, with a count, what became of sightings: `observed`, `local` (Redis was away) or `dropped`, and
    `failed` for a batch that could not be learnt from at all.
    `on_cut` is told level and leading signal of each lowered factor.
    """

    def __init__(
        self,
        shared: States,
        local: States,
        memory: Memory,
        *,
        address_knobs: Knobs,
        on_fate: Callable[[str, int], None] = lambda _fate, _count: None,
        on_cut: Callable[[str, str], None] = lambda _level, _signal: None,
        capacity: int = CAPACITY,
    ) -> None:
        self._shared = shared
        self._local = local
        self._memory = memory
        self._address_knobs = replace(address_knobs, level=Level.ADDRESS)
        self._on_fate = on_fate
        self._on_cut = on_cut
        self._capacity = capacity
        self._queue: deque[Sighting | RefusedKey] = deque()
        self._waiting = asyncio.Event()
        self._learning = asyncio.Lock()

    @property
    def lowered(self) -> int:
        """How many callers are known to have a lowered factor."""
        return self._memory.lowered

    def saw(self, sighting: Sighting | RefusedKey) -> None:
        """Remember to learn from this; returns at once."""
        if len(self._queue) >= self._capacity:
            self._on_fate("dropped", 1)
            return
        self._queue.append(sighting)
        self._waiting.set()

    async def run(self) -> None:
        """Learn for as long as the service lives."""
        while True:
            await self._waiting.wait()
            try:
                await self.drain()
            except Exception as error:  # noqa: BLE001  were this task to end, nothing would be learnt any more
                self._on_fate("failed", 1)
                log.error("a batch could not be learnt from", extra={"error": type(error).__name__})  # noqa: TRY400  no trace

    async def drain(self) -> None:
        """Learn from all that is waiting."""
        async with self._learning:  # one batch after the other: a caller's sightings keep their order
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
                fates = await asyncio.gather(*map(self._tell, *self._sorted(batch, await self._heats(batch))))
                self._on_fate("observed" if all(fates) else "local", len(batch))
            self._waiting.clear()

    async def _heats(self, batch: Sequence[Sighting | RefusedKey]) -> list[float]:
        return await asyncio.gather(*map(self._heat, batch))

    async def _heat(self, seen: Sighting | RefusedKey) -> float:
        if isinstance(seen, RefusedKey) or not seen.attack_like:
            return 0.0
        sender = hashed(seen.principal)
        try:
            return await self._shared.heat(seen.pattern, sender)
        except RedisError:
            return await self._local.heat(seen.pattern, sender)

    def _sorted(
        self, batch: Sequence[Sighting | RefusedKey], heats: Sequence[float]
    ) -> tuple[Sequence[str], Sequence[_Told]]:
        """Who is to be told what, oldest first."""
        told: dict[str, _Told] = {}

        def tell(caller: str, knobs: Knobs, observation: Observation) -> None:
            if knobs.adaptive.mode != "off":
                told.setdefault(caller, _Told(knobs)).observations.append(observation)

        for seen, heat in zip(batch, heats, strict=True):
            if isinstance(seen, RefusedKey):
                tell(seen.address, self._address_knobs, Observation(other=seen.credential, unknown_key=True))
                continue
            observation = _observation(seen, heat)
            if seen.principal != seen.address:
                tell(seen.principal, seen.knobs, observation)
                observation = replace(observation, tokens=0)  # the key has paid, not the address
            at_address = replace(observation, other=hashed(seen.principal))
            tell(seen.address, self._address_knobs, at_address)
        return tuple(told), tuple(told.values())

    async def _tell(self, caller: str, told: _Told) -> bool:
        """Tell one caller's state; false if Redis was away."""
        shared, remembered = True, self._memory.recalled(caller)
        try:
            observed = await self._shared.observe(caller, told.observations, told.knobs, remembered)
        except RedisError:
            shared = False
            observed = await self._local.observe(caller, told.observations, told.knobs, remembered)
        self._memory.learn(caller, observed.standing, observed.now_us, told.knobs.adaptive)
        for _ in range(observed.cuts):
            self._on_cut(told.knobs.level.value, next(iter(shares(observed.standing.signals))).value)
        return shared


def _observation(seen: Sighting, heat: float) -> Observation:
    return Observation(
        injection=seen.evidence.injection,
        harm=seen.evidence.harm,
        similarity=seen.similarity,
        near_threshold=seen.evidence.near_threshold,
        tokens=seen.tokens,
        other=0 if seen.roams else hashed(seen.address),
        hot=heat,
        pattern=seen.pattern,
    )
