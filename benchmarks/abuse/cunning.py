"""Attackers that know the design, and read the answers: `anomaly.score` and `limit_factor` are in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final

from benchmarks.abuse.population import Span
from benchmarks.abuse.traffic import MINUTE, SECOND, Actor, Ask, Sender, Texts, chat_tokens, key, poisson_s
from serving.principal import Caller


def patient(draw: Random, span: Span) -> Iterator[Sender]:
    """Five keys: attacks until the answer shows a cut, then decoys from another key and ten minutes' rest."""

    def actor() -> Actor:
        good, bad = Texts(draw), Texts(draw, "jailbreak", attack=True)
        callers = [key(f"patient-{number}", f"patient-{number}") for number in range(5)]
        rested = dict.fromkeys(callers, span.start_us)
        now = span.attack_us
        while now < span.attack_end_us:
            caller = min(callers, key=lambda each: rested[each])
            now = max(now, rested[caller])
            evil = draw.random() < 0.4
            text = (bad if evil else good).fresh("own")
            reply = yield Ask(now, caller, text, chat_tokens(draw), malicious=evil)
            if not reply.admitted or reply.factor < 1 or reply.score > 0.3:
                rested[caller] = now + 10 * MINUTE
            now += poisson_s(draw, 20)

    yield Sender("patient", actor(), True)


def decoys(draw: Random, span: Span) -> Iterator[Sender]:
    """One key that hides each attack among twelve harmless texts."""

    def actor() -> Actor:
        good, bad, now = Texts(draw), Texts(draw, "injection", attack=True), span.attack_us
        while now < span.attack_end_us:
            evil = draw.random() < 1 / 13
            text = (bad if evil else good).fresh("own")
            yield Ask(now, key("decoy", "decoy"), text, chat_tokens(draw), malicious=evil)
            now += poisson_s(draw, 40)

    yield Sender("decoys", actor(), True)


def sleepers(draw: Random, span: Span) -> Iterator[Sender]:
    """Two hundred keys on as many addresses, each with a good name first, then one attack each ten minutes."""

    def actor(own: Random, caller: Caller) -> Actor:
        good, bad = Texts(own), Texts(own, "jailbreak", attack=True)
        now = span.start_us + own.randrange(5 * MINUTE)
        while now < span.attack_us:
            yield Ask(now, caller, good.fresh("own"), chat_tokens(own))
            now += poisson_s(own, 0.7)
        now = span.attack_us + own.randrange(10 * MINUTE)
        while now < span.attack_end_us:
            yield Ask(now, caller, bad.fresh("own"), chat_tokens(own), malicious=True)
            now += 10 * MINUTE

    for number in range(200):
        own = Random(draw.getrandbits(64))
        yield Sender("sleepers", actor(own, key(f"sleeper-{number}", f"sleeper-{number}")), True)


def poison(draw: Random, span: Span) -> Iterator[Sender]:
    """Twenty keys that send what forty honest people send too, between attacks, to have that text held against them."""
    popular = draw.randrange(1 << 20)

    def honest(own: Random, caller: Caller) -> Actor:
        texts, now = Texts(own), span.start_us + own.randrange(5 * MINUTE)
        while now < span.end_us:
            yield Ask(now, caller, texts.fresh("same", popular), chat_tokens(own))
            now += poisson_s(own, 0.4)

    def poisoner(own: Random, caller: Caller) -> Actor:
        texts, bad, now = Texts(own), Texts(own, "injection", attack=True), span.attack_us
        while now < span.attack_end_us:
            text = bad.fresh("own") if own.random() < 0.5 else texts.fresh("same", popular)
            yield Ask(now, caller, text, chat_tokens(own), malicious=True)
            now += poisson_s(own, 2)

    for number in range(40):
        own = Random(draw.getrandbits(64))
        yield Sender("victims of poison", honest(own, key(f"victim-{number}", f"victim-{number}")))
    for number in range(20):
        own = Random(draw.getrandbits(64))
        yield Sender("poison", poisoner(own, key(f"poisoner-{number}", f"poisoner-{number}")), True)


def pulses(draw: Random, span: Span) -> Iterator[Sender]:
    """A burst of twenty attacks within three seconds each eleven minutes: done before anybody has seen an answer."""

    def actor() -> Actor:
        bad, begin = Texts(draw, "injection", attack=True), span.attack_us
        while begin < span.attack_end_us:
            for number in range(20):
                now = begin + number * 3 * SECOND // 20
                yield Ask(now, key("pulse", "pulse"), bad.fresh("own"), chat_tokens(draw), malicious=True)
            begin += 11 * MINUTE

    yield Sender("pulses", actor(), True)


ATTACKS: Final[Mapping[str, Callable[[Random, Span], Iterator[Sender]]]] = {
    "patient": patient,
    "decoys, 1 in 13": decoys,
    "sleepers": sleepers,
    "poison": poison,
    "pulses": pulses,
}
