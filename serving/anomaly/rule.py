"""What one request teaches about its caller: the reference rule. `observe.lua` is the same rule on Redis.

Pure: state, observation and time in, state out. The one state serves principals and addresses (:class:`Level`): a
principal is watched for the addresses it comes from, an address for the keys that are used there. Numbers are rounded
to a millionth after each step, so that two libraries' last bits cannot drift apart; a differential test on random
histories holds the two versions together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from serving.anomaly import sketch
from serving.anomaly.signals import MOST, PROOF, SIGNALS, Signal, score, signals_of
from serving.anomaly.standing import SECOND_US, Adaptive, Knobs, Level, Standing, factor_at, is_fresh
from serving.anomaly.state import Observation, State

__all__ = ["Adaptive", "Knobs", "Level", "Observation", "Standing", "State", "Verdict", "factor_at", "observe"]

MEMORY_US: Final = 6 * 3600 * SECOND_US  # half-life of suspicion: low and slow adds up over hours
RATE_HALF_US: Final = 60 * SECOND_US
FLOW_HALF_US: Final = 120 * SECOND_US
GENERATION_US: Final = 600 * SECOND_US  # different addresses or keys are counted over one to two of these
LEARNING: Final = 0.02  # weight of one request in what is usual for its caller
ALIKE_BITS: Final = 6  # of 64: how far apart the fingerprints of texts alike may be
RELAPSE_US: Final = 3600 * SECOND_US  # after a cut, suspicion drains half as fast for so long


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is thought of a caller after an observation. `cut`: this observation lowered the factor."""

    score: float
    factor: float
    signals: Mapping[Signal, float]
    fresh: bool
    cut: bool = False


def observe(state: State | None, observation: Observation, now_us: int, knobs: Knobs) -> tuple[State, Verdict]:
    """The state after one observation, and what follows from it. None is a caller never seen."""
    if state is None:
        state = State(Standing(since_us=now_us, seen_us=now_us), turned_us=now_us)
    fresh = is_fresh(state.standing, now_us)
    before, new_other = _count_others(_decayed(state, now_us), observation, now_us)
    another = new_other and observation.other not in before.tried
    followed, alike = before, False
    if knobs.level is not Level.PRINCIPAL:
        held = _unpinned_factor(before.standing, now_us, knobs.adaptive) < knobs.adaptive.ceiling
        followed, alike = _follow(before, observation, new_other, held=held)
    newcomer = fresh or knobs.level is Level.ADDRESS
    steps = _steps(followed, observation, knobs, another=another, alike=alike, newcomer=newcomer)
    steps = _relapsing(steps, followed.cut_us, now_us)
    suspicions = tuple(
        _rounded(min(max(gathered + step, 0.0), MOST))
        for gathered, step in zip(followed.standing.suspicions, steps, strict=True)
    )
    after = replace(followed, standing=replace(followed.standing, suspicions=suspicions))
    return _judged(after, observation, now_us, knobs, rose=_rose(steps), fresh=fresh)


def _decayed(state: State, now_us: int) -> State:
    """The state at `now_us`. A clock that jumped back counts as one that stood still."""
    standing = state.standing
    waited = max(now_us - standing.seen_us, 0)
    fading = 2.0 ** (-waited / MEMORY_US)
    aged = replace(
        standing,
        bad_us=min(standing.bad_us, now_us),
        since_us=min(standing.since_us, now_us),
        seen_us=now_us,
        trouble_us=min(standing.trouble_us, now_us),
        suspicions=tuple(_rounded(steps * fading) for steps in standing.suspicions),
    )
    return replace(
        state,
        standing=aged,
        cut_us=min(state.cut_us, now_us),
        turned_us=min(state.turned_us, now_us),
        rate=_rounded(state.rate * 2.0 ** (-waited / RATE_HALF_US)),
        flow=_rounded(state.flow * 2.0 ** (-waited / FLOW_HALF_US)),
    )


def _count_others(state: State, observation: Observation, now_us: int) -> tuple[State, bool]:
    """Turn the generations if it is time, and note the other side; True for one not seen lately."""
    turns = (now_us - state.turned_us) // GENERATION_US
    if turns:
        learnt = _rounded(state.count_norm + (state.count - state.count_norm) / 8)
        norm = learnt if state.count_norm else state.count
        older = state.newer if turns == 1 else sketch.EMPTY
        count = _rounded(sketch.count(sketch.EMPTY, older))
        state = replace(state, newer=sketch.EMPTY, older=older, count=count, count_norm=norm, turned_us=now_us)
    if not observation.other or sketch.knows(state.newer, observation.other):
        return state, False
    new = not sketch.knows(state.older, observation.other)
    newer = sketch.add(state.newer, observation.other)
    return replace(state, newer=newer, count=_rounded(sketch.count(newer, state.older))), new


def _follow(state: State, observation: Observation, new_key: bool, *, held: bool) -> tuple[State, bool]:
    """Note which key an address uses, what its texts look like, and what was tried there that opens nothing.

    `rotation` is the share of changes that led from a key used several times in a row to one never seen: of a crowd
    behind one address hardly any do, as its members come and go and return. While the address is `held` it stays: who
    is let in once in minutes uses no key several times. `alike` is the share of texts that look like a recent one;
    also returned is whether this one does.
    """
    if observation.unknown_key:
        known = observation.other in state.tried
        return (state if known else replace(state, tried=(observation.other, *state.tried[:-1]))), False
    if observation.other == state.last:
        state = replace(state, run=state.run + 1)
    elif observation.other:
        turned = 1 - 1 / state.run if new_key and state.run else 0.0
        rotation = state.rotation if held else _rounded(state.rotation + 0.4 * (turned - state.rotation))
        state = replace(state, run=1, rotation=rotation if state.run else 0.0, last=observation.other)
    if not observation.pattern:
        return state, False
    alike = any(seen and (seen ^ observation.pattern).bit_count() <= ALIKE_BITS for seen in state.recent)
    recent = state.recent if alike else (observation.pattern, *state.recent[:-1])
    return replace(state, recent=recent, alike=_rounded(state.alike + 0.2 * (alike - state.alike))), alike


def _steps(
    state: State, seen: Observation, knobs: Knobs, *, another: bool, alike: bool, newcomer: bool
) -> tuple[float, ...]:
    """By how much the observation moves each signal, in the order of SIGNALS."""
    if seen.unknown_key:
        tried = 1.5 if another else 0.0
        return tuple(tried if signal is Signal.UNKNOWN_KEYS else 0.0 for signal in SIGNALS)
    crowd = -1.0  # until something is known of what is usual
    if state.count_norm:
        crowd = 2 * _doublings(state.count, 4 * max(state.count_norm, 1.0), 3) - 1
    crowds = (0.0, crowd) if knobs.level is Level.PRINCIPAL else (crowd, 0.0)
    uses = (_rate_step(state, seen, knobs), _cost_step(state, seen, knobs), *crowds)
    if not seen.own:
        return (0.0, 0.0, 0.0, 0.0, *uses, 0.0, 0.0, 0.0)
    return (
        2.3 * seen.injection - 1.2,
        1.8 * seen.harm - 0.8,
        2 * seen.similarity - 1,
        7 * seen.hot - 1 if newcomer else -1.0,  # who has a history is not judged by what others send
        *uses,
        3 * _between(state.rotation * state.alike, 0.35, 0.75) - 1 if alike else -1.0,
        -1.0,
        0.8 if seen.near_threshold else -0.4,
    )


def _relapsing(steps: tuple[float, ...], cut_us: int, now_us: int) -> tuple[float, ...]:
    """In the hour after a cut what excuses the use of a key or an address counts half.

    While a campaign waits for its room it shows nothing of how it uses them, and must not get back its good name with
    the room. What its texts say is another matter: an analyst who was once cut by mistake needs a way back.
    """
    if not cut_us or now_us - cut_us >= RELAPSE_US:
        return steps
    texts = (Signal.INJECTION, Signal.HARM)
    halved = (signal not in texts and step < 0 for signal, step in zip(SIGNALS, steps, strict=True))
    return tuple(step / 2 if half else step for half, step in zip(halved, steps, strict=True))


def _rate_step(state: State, seen: Observation, knobs: Knobs) -> float:
    per_minute = (state.rate + 1) * math.log(2)
    usual = max(state.rate_norm, 0.2 * knobs.requests_per_minute)
    return 2 * _doublings(per_minute, usual, 2) - 1 if seen.tokens else 0.0


def _cost_step(state: State, seen: Observation, knobs: Knobs) -> float:
    """A large text is odd in a flood of tokens, or once a flood has been proven."""
    if not seen.tokens:
        return 0.0
    per_minute = (state.flow + seen.tokens) * math.log(2) / 2
    flood = _doublings(per_minute, max(state.flow_norm, 0.1 * knobs.tokens_per_minute), 3)
    usual = max(state.size_norm, math.log(knobs.largest_tokens / 16))
    large = _between(math.log(seen.tokens) - usual, math.log(2), math.log(8))
    proven = min(state.standing.suspicions[SIGNALS.index(Signal.COST)] / PROOF, 1.0)
    return 2.2 * large * max(flood, proven) - 1


def _rose(steps: tuple[float, ...]) -> bool:
    """Whether the observation gives cause by itself: rate, a crowd and what others send do not."""
    bystanders = (Signal.RATE, Signal.KEYS_PER_ADDRESS, Signal.NEAR_DUPLICATE)
    return any(step > 0 for signal, step in zip(SIGNALS, steps, strict=True) if signal not in bystanders)


def _judged(
    state: State, seen: Observation, now_us: int, knobs: Knobs, *, rose: bool, fresh: bool
) -> tuple[State, Verdict]:
    """Cut, hold or leave the factor; learn what is usual while all is calm."""
    adaptive, standing = knobs.adaptive, state.standing
    signals = signals_of(standing.suspicions)
    total = score(signals)
    factor = _unpinned_factor(standing, now_us, adaptive)
    cut = rose and total >= adaptive.cut_at and now_us - state.cut_us >= adaptive.cut_interval_s * SECOND_US
    if cut:  # the surer, the deeper
        deeper = 1 + 3 * (total - adaptive.cut_at) / (1 - adaptive.cut_at)
        factor = max(adaptive.floor, _rounded(factor * adaptive.cut**deeper))
        relapse = state.cut_us and now_us - state.cut_us < RELAPSE_US
        standing = replace(standing, trouble_us=standing.trouble_us if relapse else now_us)
        state = replace(state, cut_us=now_us)
    if rose and total >= adaptive.release_at:
        standing = replace(standing, factor=factor, bad_us=now_us)
    standing = replace(standing, good=0 if cut else _good(standing.good, seen, fresh=fresh))
    state = replace(_learnt(state, seen, calm=total < adaptive.release_at), standing=standing)
    return state, Verdict(total, factor_at(standing, now_us, adaptive), signals, is_fresh(standing, now_us), cut)


def _unpinned_factor(standing: Standing, now_us: int, adaptive: Adaptive) -> float:
    return factor_at(standing.unpinned, now_us, adaptive)


def _good(good: int, seen: Observation, *, fresh: bool) -> int:
    """How many requests gave no cause. A history once earned is only lost by a cut."""
    if seen.unknown_key or not seen.own:
        return good
    if seen.ordinary:
        return min(good + 1, 1_000_000)
    return good // 2 if fresh else good


def _learnt(state: State, seen: Observation, *, calm: bool) -> State:
    if not seen.tokens or seen.unknown_key:
        return state
    rate, flow = _rounded(state.rate + 1), _rounded(state.flow + seen.tokens)
    if not calm:
        return replace(state, rate=rate, flow=flow)
    return replace(
        state,
        rate=rate,
        flow=flow,
        rate_norm=_rounded(state.rate_norm + LEARNING * (rate * math.log(2) - state.rate_norm)),
        flow_norm=_rounded(state.flow_norm + LEARNING * (flow * math.log(2) / 2 - state.flow_norm)),
        size_norm=_rounded(state.size_norm + LEARNING * (math.log(seen.tokens) - state.size_norm)),
    )


def _between(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _doublings(value: float, usual: float, most: int) -> float:
    """How often the usual must be doubled to reach the value, as a share of `most`, within [0, 1]."""
    return _between(math.log(value / usual) / math.log(2), 0, most) if value > usual else 0.0


def _rounded(value: float) -> float:
    return math.floor(value * 1e6 + 0.5) / 1e6
