"""What simulated callers send and what they see: the words that population, attackers and limiters share."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.abuse.corpus import Style, Text
from serving.principal import Caller

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Ask:
    """One request at a virtual time. ``known`` is False for a key that nobody issued."""

    at_us: int
    caller: Caller
    text: Text
    tokens: int
    malicious: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What the caller sees: an answer or a refusal, how long to wait, and the anomaly block of the answer."""

    admitted: bool
    retry_after_s: int = 0
    factor: float = 1.0
    score: float = 0.0


Actor = Generator[Ask, Reply, None]
"""Yields its next request and is sent what became of it; most take no notice."""


@dataclass(frozen=True, slots=True)
class Sender:
    """An actor with the name of the group that its figures go under."""

    group: str
    actor: Actor
    malicious: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """Draws texts of one class for one sender."""

    draw: Random
    score_class: str = "everyday"
    attack: bool = False

    def fresh(self, style: Style = "own", base: int | None = None) -> Text:
        """Another text, about matter number ``base`` if that is given."""
        draw = self.draw
        about = draw.randrange(1 << 20) if base is None else base
        return Text(about, draw.randrange(1 << 20), style, draw.getrandbits(40), self.score_class, self.attack)


def chat_tokens(draw: Random) -> int:
    """Length of a chat message: lognormal, median 40 tokens."""
    return min(max(int(draw.lognormvariate(0, 0.85) * 40), 3), 4000)


def poisson_s(draw: Random, per_minute: float) -> int:
    """Microseconds until the next of events that come at random."""
    return max(int(draw.expovariate(per_minute / 60) * SECOND), 1)


def key(name: str, address: str, tier: str = "authenticated") -> Caller:
    """A caller with a key."""
    return Caller(principal=f"key_{name}", tier=tier, address=f"addr_{address}")


def anonymous(address: str) -> Caller:
    """A caller without one: its address."""
    return Caller(principal=f"addr_{address}", tier="anonymous", address=f"addr_{address}")
