"""The honest callers: who they are, how often they ask, and what makes each hard to tell from an attacker.

Rates follow what is published about web and API traffic: users' volumes are heavy-tailed, arrivals within a session
are irregular, machines are regular, many people share one address, and one backend uses many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.abuse.corpus import Style, Text
from benchmarks.abuse.traffic import (
    MINUTE,
    SECOND,
    Actor,
    Ask,
    Sender,
    Texts,
    anonymous,
    chat_tokens,
    key,
    poisson_s,
)
from serving.principal import Caller


@dataclass(frozen=True, slots=True)
class Span:
    """When a run begins and ends, in microseconds of virtual time, and when the attacks in it do."""

    start_us: int
    attack_us: int
    attack_end_us: int
    end_us: int


Group = Callable[[Random, Span, float], Iterator[Sender]]
_PUPILS_WORDS: Final[tuple[Style, ...]] = ("same", "filled", "own", "own")
_SCRIPTS_WORDS: Final[tuple[Style, ...]] = ("filled", "own", "same")


def people(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Users with keys and addresses of their own; volumes are Pareto, some change address, some send no key."""
    for number in range(_count(260, scale)):
        own = Random(draw.getrandbits(64))
        per_minute = min(0.06 * own.paretovariate(1.2), 4.0)
        homes = [f"home-{number}-{at}" for at in range(own.choice((1, 1, 1, 2, 4)))]
        callers = [key(f"person-{number}", home) for home in homes]
        if own.random() < 0.15:
            callers, per_minute = [anonymous(homes[0])], min(per_minute, 1.0)
        yield Sender("people", _sessions(own, span, callers, per_minute, Texts(own)))


def unlucky(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Users whose matter sounds like an attack: every text comes from the sets that filters mistake most."""
    for number in range(_count(40, scale)):
        own = Random(draw.getrandbits(64))
        texts = Texts(own, "hard")
        caller = key(f"unlucky-{number}", f"unlucky-{number}")
        yield Sender("unlucky", _sessions(own, span, [caller], own.uniform(0.2, 1.5), texts))


def developers(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """A script run by hand: bursts of similar texts about a second apart, then minutes of silence."""

    def actor(own: Random, caller: Caller) -> Actor:
        texts, now = Texts(own), span.start_us + own.randrange(10 * MINUTE)
        while now < span.end_us:
            base = own.randrange(1 << 20)
            for _ in range(min(int(own.lognormvariate(0, 0.8) * 8) + 1, 40)):
                yield Ask(now, caller, texts.fresh(own.choice(_SCRIPTS_WORDS), base), chat_tokens(own))
                now += int(own.uniform(0.3, 2.5) * SECOND)
            now += poisson_s(own, 0.15)

    for number in range(_count(20, scale)):
        own = Random(draw.getrandbits(64))
        yield Sender("developers", actor(own, key(f"developer-{number}", f"developer-{number}")))


def batch(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Nightly jobs: silent, then near the limit for twenty minutes, with long documents in one template."""

    def actor(own: Random, caller: Caller, begin: int) -> Actor:
        texts, base, now = Texts(own), own.randrange(1 << 20), begin
        while now < min(begin + 20 * MINUTE, span.end_us):
            tokens = min(int(own.lognormvariate(0, 0.6) * 1200), 8000)
            yield Ask(now, caller, texts.fresh("filled", base), tokens)
            now += int(own.uniform(1.5, 2.5) * SECOND)

    for number in range(_count(3, scale)):
        own = Random(draw.getrandbits(64))
        begin = span.start_us + int((span.end_us - span.start_us) * own.uniform(0.1, 0.6))
        yield Sender("batch", actor(own, key(f"batch-{number}", f"batch-{number}"), begin))


def classroom(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Thirty new keys behind one address, all at once, all on the same few exercises."""
    own = Random(draw.getrandbits(64))
    begin = span.start_us + int((span.end_us - span.start_us) * own.uniform(0.3, 0.5))
    exercises = [own.randrange(1 << 20) for _ in range(6)]

    def actor(pupil: Random, caller: Caller) -> Actor:
        texts, now = Texts(pupil), begin + pupil.randrange(3 * MINUTE)
        for exercise in exercises:
            for _ in range(pupil.randrange(1, 5)):
                text = texts.fresh(pupil.choice(_PUPILS_WORDS), exercise)
                yield Ask(now, caller, text, chat_tokens(pupil))
                now += poisson_s(pupil, 1.2)
            now = max(now, begin + (exercises.index(exercise) + 1) * 5 * MINUTE)

    for number in range(_count(30, scale)):
        yield Sender("classroom", actor(Random(own.getrandbits(64)), key(f"pupil-{number}", "school")))


def office(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Two hundred people behind one address; some join during the run; the attackers may add one who turns."""
    for number in range(_count(200, scale)):
        own = Random(draw.getrandbits(64))
        per_minute = min(0.05 * own.paretovariate(1.2), 2.0)
        late = span.start_us + own.randrange(span.end_us - span.start_us) if own.random() < 0.1 else span.start_us
        caller = key(f"colleague-{number}", "office")
        begun = Span(late, span.attack_us, span.attack_end_us, span.end_us)
        yield Sender("office of 200", _sessions(own, begun, [caller], per_minute, Texts(own)))


def security(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Analysts who paste attacks into tickets: three texts in ten are real attacks, one request in 40 seconds."""

    def actor(own: Random, caller: Caller) -> Actor:
        good, bad = Texts(own), Texts(own, "injection", attack=True)
        now = span.start_us + own.randrange(2 * MINUTE)
        while now < span.end_us:
            texts = bad if own.random() < 0.3 else good
            yield Ask(now, caller, texts.fresh("own"), chat_tokens(own) * 4)
            now += poisson_s(own, 1.5)

    for number in range(_count(6, scale)):
        own = Random(draw.getrandbits(64))
        yield Sender("security team", actor(own, key(f"analyst-{number}", f"soc-{number % 2}")))


def monitors(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """Health checks: the same text for ever, on the second; one of them without a key."""

    def actor(own: Random, caller: Caller, every: int) -> Actor:
        text, now = _ordinary(own), span.start_us + own.randrange(every)
        while now < span.end_us:
            yield Ask(now, caller, text, 12)
            now += every

    for number in range(_count(3, scale)):
        own = Random(draw.getrandbits(64))
        caller = anonymous("monitor") if number == 2 else key(f"monitor-{number}", f"monitor-{number}", "internal")
        yield Sender("monitors", actor(own, caller, 30 * SECOND if number == 2 else 10 * SECOND))


def continuous_integration(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """One tenant's pipeline: the same twenty prompts over eight keys, key after key, from two runners, every 20 min."""
    own = Random(draw.getrandbits(64))
    prompts = [_ordinary(own) for _ in range(20)]
    keys = max(2, _count(8, scale))

    def actor() -> Actor:
        begin = span.start_us + own.randrange(5 * MINUTE)
        while begin < span.end_us:
            now, runner = begin, f"runner-{own.randrange(2)}"
            for number in range(keys):
                for prompt in prompts:
                    yield Ask(now, key(f"ci-{number}", runner), prompt, 60)
                    now += int(own.uniform(1.3, 2.2) * SECOND)
            begin = max(begin + 20 * MINUTE, now)

    yield Sender("ci job", actor())


def serverless(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """One application's key, used from a few hundred short-lived addresses of a cloud, as a leaked key would be."""

    def actor(own: Random, name: str) -> Actor:
        texts, now = Texts(own), span.start_us
        while now < span.end_us:
            caller = key(name, f"{name}-{own.randrange(40) + 40 * (now // (20 * MINUTE))}")
            yield Ask(now, caller, texts.fresh("own"), chat_tokens(own))
            now += poisson_s(own, 8)

    for number in range(_count(2, scale)):
        yield Sender("serverless", actor(Random(draw.getrandbits(64)), f"backend-{number}"))


def newcomers(draw: Random, span: Span, scale: float) -> Iterator[Sender]:
    """People with a new key, who mistype it first, and try things out quickly."""

    def actor(own: Random, name: str, begin: int) -> Actor:
        texts, now = Texts(own), begin
        for _ in range(own.choice((0, 0, 1, 2, 4))):
            yield Ask(now, key(f"{name}-typo-{now}", name), texts.fresh(), 0, known=False)
            now += own.randrange(3 * SECOND, 20 * SECOND)
        for _ in range(own.randrange(3, 25)):
            yield Ask(now, key(name, name), texts.fresh(), chat_tokens(own))
            now += poisson_s(own, 3)

    for number in range(_count(60, scale)):
        own = Random(draw.getrandbits(64))
        begin = span.start_us + own.randrange(span.end_us - span.start_us)
        yield Sender("newcomers", actor(own, f"newcomer-{number}", begin))


GROUPS: Final[tuple[Group, ...]] = (
    people,
    unlucky,
    developers,
    batch,
    classroom,
    office,
    security,
    monitors,
    continuous_integration,
    serverless,
    newcomers,
)


def population(seed: int, span: Span, scale: float = 1.0) -> Iterator[Sender]:
    """All groups; each draws from its own stream, so that leaving one out changes no other."""
    for group in GROUPS:
        yield from group(Random(f"{seed}:{group.__name__}"), span, scale)


def _count(number: int, scale: float) -> int:
    return max(1, round(number * scale))


def _ordinary(draw: Random) -> Text:
    """A text for a machine to repeat, of the lower half of scores: nobody keeps a health check that is blocked."""
    return Texts(draw, "plain").fresh("same")


def _sessions(draw: Random, span: Span, callers: list[Caller], per_minute: float, texts: Texts) -> Actor:
    """A person: sessions of a few messages with time to think between them, ``per_minute`` on the long run."""
    length = 6.0
    now = span.start_us + poisson_s(draw, per_minute / length)
    while now < span.end_us:
        caller, matter = draw.choice(callers), draw.randrange(1 << 20)
        for _ in range(1 + int(draw.expovariate(1 / (length - 1)))):
            base = matter if draw.random() < 0.3 else None
            yield Ask(now, caller, texts.fresh("own", base), chat_tokens(draw))
            now += int(draw.lognormvariate(0, 0.9) * 25 * SECOND)
        now += poisson_s(draw, per_minute / length)
