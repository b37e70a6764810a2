"""The signs of an attack, and how they are joined into one score.

Every signal is gathered evidence, a number in [0, 1]: the height of a CUSUM test (E. S. Page, "Continuous inspection
schemes", Biometrika 1954) over the requests of one caller. Each request moves it up or down by at most a few steps,
it never falls below 0, and at :data:`PROOF` steps it is 1. The steps are log-likelihood ratios, rounded, between "a
campaign" and "a caller who is still to be tolerated, such as a security team of whose texts a third are attacks", so
a tolerated caller shows a signal of `s` with a probability of about `exp(-PROOF * s)`, whatever the signal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

PROOF: Final = 10.0
"""Steps of evidence that make a signal 1."""
MOST: Final = 13.0
"""Steps that are remembered: what is gathered beyond proof delays the return to 0, by a few requests at most."""


class Signal(StrEnum):
    """What each signal watches; the order is that of the stored state and of `observe.lua`."""

    INJECTION = "injection"
    """Texts that look like injections, by their calibrated score on the scale of the operating points."""
    HARM = "harm"
    """Texts that look harmful, likewise."""
    SIMILARITY = "similarity"
    """Texts close to a known attack cluster of the bundle."""
    NEAR_DUPLICATE = "near_duplicate"
    """Attack-like texts that several principals are sending at the same time."""
    RATE = "rate"
    """Requests come faster than this caller's requests usually do."""
    COST = "cost"
    """Large texts in a larger stream of tokens than this caller usually sends."""
    KEYS_PER_ADDRESS = "keys_per_address"
    """More keys at one address than usual there."""
    ADDRESSES_PER_KEY = "addresses_per_key"
    """One key at more addresses than usual."""
    SEQUENCE = "sequence"
    """Keys of one address that are used up one after another with texts alike."""
    UNKNOWN_KEYS = "unknown_keys"
    """Ever other keys that do not exist, tried from one address."""
    PROBING = "probing"
    """Scores just under an operating point, again and again."""


SIGNALS: Final = tuple(Signal)

# How much a signal at 1 says by itself. Below the `cut_at` of a policy it can only support another one: a burst, a
# crowded address, a text near a cluster or one that others send too is no offence.
WEIGHTS: Final[Mapping[Signal, float]] = {
    **dict.fromkeys(SIGNALS, 0.95),
    Signal.SIMILARITY: 0.5,
    Signal.NEAR_DUPLICATE: 0.3,
    Signal.RATE: 0.3,
    Signal.KEYS_PER_ADDRESS: 0.2,
}


def signals_of(suspicions: Sequence[float]) -> dict[Signal, float]:
    """Gathered steps, in the order of :data:`SIGNALS`, as numbers in [0, 1]."""
    return {signal: min(steps / PROOF, 1.0) for signal, steps in zip(SIGNALS, suspicions, strict=True)}


def score(signals: Mapping[Signal, float]) -> float:
    """The anomaly score: a noisy-or, 1 - product of (1 - weight * signal)."""
    innocent = 1.0
    for signal in SIGNALS:
        innocent *= 1 - WEIGHTS[signal] * signals.get(signal, 0.0)
    return 1 - innocent


def shares(signals: Mapping[Signal, float]) -> dict[Signal, float]:
    """What each signal contributes to the score, largest first; the shares of a score above 0 add up to 1.

    A noisy-or is a sum in logarithms, so the parts are exact: -log(1 - weight * signal) of the total.
    """
    parts = {signal: -math.log1p(-WEIGHTS[signal] * value) for signal, value in signals.items() if value > 0}
    total = sum(parts.values())
    return {signal: parts[signal] / total for signal in sorted(parts, key=parts.__getitem__, reverse=True)}
