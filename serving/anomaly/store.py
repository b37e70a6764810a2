"""Where behaviour is remembered: in Redis for all replicas, in this process while Redis is away."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final, Protocol

from serving.anomaly.patterns import Pattern, observe_pattern
from serving.anomaly.rule import observe
from serving.anomaly.standing import NO_PIN, SECOND_US, Knobs, Level, Standing, counting, factor_at, is_fresh
from serving.anomaly.state import BYTES, Observation, State
from serving.redis_connection import Connection, RedisRefused, Script
from serving.redis_keys import PATTERNS, risk_key
from serving.redis_wire import Word

LIFETIME_MS: Final = 24 * 3600 * 1000
_SINCE_AT, _PIN_AT, _SEEN_AT = 2 * 8, 4 * 8, 5 * 8  # where these lie in a packed standing

# The pin alone is written, so that what is being learnt at the same moment is not undone.
_PIN: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('SETRANGE', KEYS[1], ARGV[2], ARGV[3])
if ARGV[4] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
"""

_RESET: Final = """
local clock = redis.call('TIME')
local now = struct.pack('<d', tonumber(clock[1]) * 1000000 + tonumber(clock[2]))
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SETRANGE', KEYS[1], ARGV[2], now)
redis.call('SETRANGE', KEYS[1], ARGV[3], now)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a store answers to observations of one caller: its standing, the store's time then, and the cuts made.

    `newcomer`: before them it had neither a history to lose nor a lowered factor. `heard`: so many of them, the first
    ones, came while it was such and not suspected either.
    """

    standing: Standing
    now_us: int
    cuts: int
    newcomer: bool = True
    heard: int = 0


class States(Protocol):
    """Remembers callers and patterns. Each call is one atomic step, and one slot of a Redis Cluster."""

    async def observe(
        self, caller: str, observations: Sequence[Observation], knobs: Knobs, remembered: Standing | None = None
    ) -> Observed:
        """Learn from observations of one caller, oldest first.

        `remembered` is what the asker last knew, its times counted from now: see :func:`standing.counting`.
        """
        ...

    async def heat(self, fingerprint: int, sender: int) -> float:
        """Count one attack-like text; the heat of its pattern in [0, 1]."""
        ...


class RedisStates:
    """Shared by all replicas, on the server's clock; every method raises :class:`RedisError`.

    A state is 568 bytes and expires a day after its caller was last seen, one of a newcomer with next to no suspicion
    after an hour, and one that an operator pinned never.
    """

    def __init__(self, connection: Connection, *, observe: str | None = None, patterns: str | None = None) -> None:
        self._connection = connection
        self._observe = Script(observe or read_script("observe.lua"))
        self._patterns = Script(patterns or read_script("patterns.lua"))
        self._pin = Script(_PIN)
        self._reset = Script(_RESET)

    async def observe(
        self, caller: str, observations: Sequence[Observation], knobs: Knobs, remembered: Standing | None = None
    ) -> Observed:
        """As :meth:`States.observe`."""
        recalled = remembered.unpinned.pack() if remembered else b""  # a pin is told by Redis or by nobody
        words: tuple[Word, ...] = (pack_knobs(knobs), LIFETIME_MS, recalled, *(each.pack() for each in observations))
        reply = await self._connection.run_script(self._observe, (risk_key(caller),), words)
        try:
            packed, now_us, cuts, newcomer, heard = reply
            return Observed(Standing.unpack(packed), now_us, cuts, newcomer == 1, heard)
        except (TypeError, ValueError, struct.error) as error:
            raise RedisRefused("the observing script answered in an unknown shape") from error

    async def heat(self, fingerprint: int, sender: int) -> float:
        """As :meth:`States.heat`."""
        words = (fingerprint.to_bytes(8, "big") + sender.to_bytes(8, "big"), LIFETIME_MS)
        reply = await self._connection.run_script(self._patterns, (PATTERNS,), words)
        try:
            return float(reply)
        except (TypeError, ValueError) as error:
            raise RedisRefused("the pattern script answered in an unknown shape") from error

    async def read(self, caller: str) -> State | None:
        """All that is remembered of a principal or an address; None for one not seen for a day."""
        packed = await self._connection.execute("GET", risk_key(caller))
        return State.unpack(packed) if packed and len(packed) == BYTES else None

    async def pin(self, caller: str, factor: float | None) -> None:
        """Fix a caller's factor, 0 for a ban; None takes it back. Holds until then, whatever the tier's mode is."""
        if factor is not None and not 0 <= factor <= 1:
            raise ValueError("a pinned factor must be in [0, 1]")
        pin = struct.pack("<d", NO_PIN if factor is None else factor)
        lifetime = LIFETIME_MS if factor is None else 0
        words = (State().pack(), _PIN_AT, pin, lifetime)
        await self._connection.run_script(self._pin, (risk_key(caller),), words)

    async def reset(self, caller: str) -> None:
        """Forget a caller's behaviour and pin. A clean state stays, so that no replica's memory steps in for it."""
        await self._connection.run_script(
            self._reset, (risk_key(caller),), (State().pack(), _SINCE_AT, _SEEN_AT, LIFETIME_MS)
        )


class LocalStates:
    """The reference rule in this process, for what is judged while Redis is away; the longest unseen are forgotten."""

    def __init__(self, clock_us: Callable[[], int], *, max_callers: int = 10_000) -> None:
        self._clock_us = clock_us
        self._max_callers = max_callers
        self._states: OrderedDict[str, State] = OrderedDict()
        self._patterns: tuple[Pattern, ...] = ()

    async def observe(
        self, caller: str, observations: Sequence[Observation], knobs: Knobs, remembered: Standing | None = None
    ) -> Observed:
        """As :meth:`States.observe`."""
        now_us = self._clock_us()
        state, cuts = self._states.pop(caller, None), 0
        standing = counting(state.standing if state else None, remembered, now_us)
        if standing is not None:
            state = replace(state or State(turned_us=now_us), standing=standing)
        newcomer = is_fresh(standing, now_us) and _has_all_room(standing, now_us, knobs)
        suspected, heard = not newcomer, 0
        for observation in observations:
            before = state.standing if state else None
            suspected = suspected or _suspected(before, knobs) or not _has_all_room(before, now_us, knobs)
            heard += not suspected
            state, verdict = observe(state, observation, now_us, knobs)
            cuts += verdict.cut
        if state is None:
            return Observed(Standing(since_us=now_us, seen_us=now_us), now_us, 0)
        self._states[caller] = state
        if len(self._states) > self._max_callers:
            self._states.popitem(last=False)
        return Observed(state.standing, now_us, cuts, newcomer, heard)

    async def heat(self, fingerprint: int, sender: int) -> float:
        """As :meth:`States.heat`."""
        self._patterns, heat = observe_pattern(self._patterns, fingerprint, sender, self._clock_us())
        return heat


def _has_all_room(standing: Standing | None, now_us: int, knobs: Knobs) -> bool:
    return standing is None or factor_at(standing.unpinned, now_us, knobs.adaptive) >= knobs.adaptive.ceiling


def _suspected(standing: Standing | None, knobs: Knobs) -> bool:
    return standing is not None and standing.score >= knobs.adaptive.release_at


def pack_knobs(knobs: Knobs) -> bytes:
    """As `observe.lua` reads them."""
    adaptive = knobs.adaptive
    return _KNOBS.pack(
        adaptive.floor,
        adaptive.ceiling,
        adaptive.cut,
        adaptive.cut_interval_s * SECOND_US,
        adaptive.cool_down_s * SECOND_US,
        adaptive.recovery_s * SECOND_US,
        adaptive.cut_at,
        adaptive.release_at,
        knobs.requests_per_minute,
        knobs.tokens_per_minute,
        knobs.largest_tokens,
        _LEVELS.index(knobs.level),
    )


_KNOBS: Final = struct.Struct("<12d")
_LEVELS: Final = (Level.PRINCIPAL, Level.ADDRESS, Level.ANONYMOUS)  # as `observe.lua` numbers them


def read_script(name: str) -> str:
    """The text of one of this package's Lua scripts."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
