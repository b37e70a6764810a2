"""Watches what was answered and lets the limits learn from it, off the response path.

Sightings go into a bounded queue; one task takes them out in batches, asks for the heat of attack-like patterns, and
then tells each principal, and after it the newcomers at each address, what was seen of them, in one Redis call for
each. An address hears of misbehaviour of newcomers only: an established key answers for itself. While Redis is away
the reference rule goes on in this process. What does not fit into the queue is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
from serving.redis_keys import newcomers_at

log = logging.getLogger("weir.watcher")

BATCH: Final = 4  # an admission may have to wait while Redis and our event loop are busy with one
# How long a sighting waits for others to be told in the same call. Who sends fifty requests a second gets one more
# through for it; a call for each brought the throughput under load from 71 to 66 % of the model's (make bench).
LINGER_S: Final = 0.02
CAPACITY: Final = 10_000
ATTACK_LIKE: Final = 0.9  # evidence at fpr_5% for injection, a little over fpr_0.1% for harm


@dataclass(frozen=True, slots=True)
class Sighting:
    """One judged text and who sent it from where. An anonymous sender's principal is its address.

    `roams` is true for callers of whom many addresses are expected, such as a gateway's own key. `own` is false for a
    text that the caller only passes on, such as a tool's or a model's: its sender is not to be judged by it.
    """

    principal: str
    address: str
    knobs: Knobs
    evidence: Evidence
    tokens: int
    similarity: float = 0.0
    pattern: int = 0
    roams: bool = False
    own: bool = True

    @property
    def attack_like(self) -> bool:
        """Whether the text's pattern is worth counting."""
        return self.own and self.pattern != 0 and max(self.evidence.injection, self.evidence.harm) >= ATTACK_LIKE


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """A credential that opens nothing, as its hash, tried from an address."""

    address: str
    credential: int


@dataclass(frozen=True, slots=True)
class Recheck:
    """Newcomers at an address whose standing may have changed without a sighting."""

    caller: str


Seen = Sighting | RefusedKey | Recheck


@dataclass(slots=True)
class _Told:
    """What one caller is to be told about in this batch."""

    knobs: Knobs
    observations: list[Observation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known after telling: whether Redis took part, and whether the caller was a newcomer with all its room.

    A cut takes a history away; who had one must not become everybody's affair at its address by it. Of the
    observations that were told the first `heard` came before the newcomer was suspected itself.
    """

    shared: bool
    newcomer: bool
    heard: int


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
        self._anonymous = replace(address_knobs, level=Level.ANONYMOUS)
        self._newcomers = replace(address_knobs, level=Level.ADDRESS)
        self._on_fate = on_fate
        self._on_cut = on_cut
        self._capacity = capacity
        self._queue: deque[Seen] = deque()
        self._waiting = asyncio.Event()
        self._learning = asyncio.Lock()

    @property
    def lowered(self) -> int:
        """How many callers are known to have a lowered factor."""
        return self._memory.lowered

    def saw(self, sighting: Seen) -> None:
        """Remember to learn from this; returns at once."""
        if len(self._queue) >= self._capacity:
            self._on_fate("dropped", 1)
            return
        self._queue.append(sighting)
        self._waiting.set()

    def recheck(self, caller: str) -> None:
        """Remember to ask how newcomers at an address stand; returns at once."""
        self.saw(Recheck(caller))

    async def run(self) -> None:
        """Learn for as long as the service lives."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(LINGER_S)
            await self.drain()

    async def drain(self) -> None:
        """Learn from all that is waiting."""
        async with self._learning:  # one batch after the other: a caller's sightings keep their order
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
                seen = sum(not isinstance(each, Recheck) for each in batch)
                try:
                    shared = await self._learn(batch)
                except Exception as error:  # noqa: BLE001  were this task to end, nothing would be learnt any more
                    self._on_fate("failed", seen)
                    log.error("a batch could not be learnt from", extra={"error": type(error).__name__})  # noqa: TRY400  no trace
                else:
                    self._on_fate("observed" if shared else "local", seen)
            self._waiting.clear()

    async def _learn(self, batch: Sequence[Seen]) -> bool:
        """Learn from a batch, principals first; false if Redis was away for some of it."""
        hot = [each for each in batch if isinstance(each, Sighting) and each.attack_like]
        heats = dict(zip(map(id, hot), await asyncio.gather(*map(self._heat, hot)), strict=True))
        seen = [(each, heats.get(id(each), 0.0)) for each in batch]
        principals = self._of_principals(seen)
        answers = dict(zip(principals, await asyncio.gather(*map(self._tell, principals.items())), strict=True))
        addresses = self._of_addresses(seen, answers)
        more = await asyncio.gather(*map(self._tell, addresses.items()))
        return all(answer.shared for answer in (*answers.values(), *more))

    async def _heat(self, seen: Sighting) -> float:
        sender = hashed(seen.principal)
        try:
            return await self._shared.heat(seen.pattern, sender)
        except RedisError:
            return await self._local.heat(seen.pattern, sender)

    def _of_principals(self, batch: Sequence[tuple[Seen, float]]) -> dict[str, _Told]:
        """What principals are to be told, oldest first. Keys that open nothing are tried by somebody without one."""
        told: dict[str, _Told] = {}
        for seen, heat in batch:
            if isinstance(seen, RefusedKey):
                _add(told, seen.address, self._anonymous, _refused(seen))
            elif isinstance(seen, Sighting):
                anonymous = seen.principal == seen.address
                _add(told, seen.principal, self._anonymous if anonymous else seen.knobs, _observation(seen, heat))
        return told

    def _of_addresses(self, batch: Sequence[tuple[Seen, float]], answers: Mapping[str, _Answer]) -> dict[str, _Told]:
        """What newcomers' standings are to be told. Of an established key that it was there, but not what it sent.

        Nor what a newcomer sent after it was suspected itself, unless that excuses: one key is contained where it is,
        and it takes a second one to accuse their address.
        """
        told: dict[str, _Told] = {}
        heard = {name: answer.heard for name, answer in answers.items()}
        for seen, heat in batch:
            if isinstance(seen, Recheck):
                told.setdefault(seen.caller, _Told(self._newcomers))
            elif isinstance(seen, RefusedKey):
                _add(told, newcomers_at(seen.address), self._newcomers, _refused(seen))
            elif seen.principal in answers and seen.principal != seen.address:
                observation = replace(_observation(seen, heat), tokens=0, other=hashed(seen.principal))
                speaks = heard[seen.principal] > 0 or (answers[seen.principal].newcomer and observation.ordinary)
                heard[seen.principal] -= 1
                _add(told, newcomers_at(seen.address), self._newcomers, replace(observation, own=seen.own and speaks))
        return told

    async def _tell(self, named: tuple[str, _Told]) -> _Answer:
        """Tell one caller's state."""
        (caller, told), shared = named, True
        remembered = self._memory.recalled(caller)
        try:
            observed = await self._shared.observe(caller, told.observations, told.knobs, remembered)
        except RedisError:
            shared = False
            observed = await self._local.observe(caller, told.observations, told.knobs, remembered)
        self._memory.learn(caller, observed.standing, observed.now_us, told.knobs.adaptive)
        for _ in range(observed.cuts):
            self._on_cut(told.knobs.level.value, next(iter(shares(observed.standing.signals))).value)
        return _Answer(shared, observed.newcomer, observed.heard)


def _add(told: dict[str, _Told], caller: str, knobs: Knobs, observation: Observation) -> None:
    if knobs.adaptive.mode != "off":
        told.setdefault(caller, _Told(knobs)).observations.append(observation)


def _refused(seen: RefusedKey) -> Observation:
    return Observation(other=seen.credential, unknown_key=True)


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
        own=seen.own,
    )
