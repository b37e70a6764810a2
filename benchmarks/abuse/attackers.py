"""The attackers. All but the last few are open-loop: they send the same traffic whatever the limiter does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.abuse import cunning
from benchmarks.abuse.population import Group, Span, office
from benchmarks.abuse.traffic import (
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

Attack = Callable[[Random, Span], Iterator[Sender]]


@dataclass(frozen=True, slots=True)
class Attacker:
    """An attack, and the goal: the share of requests after the first twenty that plain GCRA admits and we keep out.

    It lasts so many `minutes`. `beside` are honest callers who are part of the story.
    """

    name: str
    senders: Attack
    goal: float | None = None
    minutes: int = 30
    beside: Group | None = None


def _steady(
    draw: Random, span: Span, pick: Callable[[int], Caller], texts: Texts, per_minute: float, *, base: int | None = None
) -> Actor:
    """Attacks at random times; request number n comes from ``pick(n)``; ``base``: paraphrases of one text."""
    now, number = span.attack_us, 0
    while now < span.attack_end_us:
        text = texts.fresh() if base is None else texts.fresh("paraphrase", base)
        yield Ask(now, pick(number), text, chat_tokens(draw) * 2, malicious=True)
        number += 1
        now += poisson_s(draw, per_minute)


def spam(draw: Random, span: Span) -> Iterator[Sender]:
    """One key, one address, sixty attacks a minute."""
    caller = key("spammer", "spammer")
    yield Sender("spam", _steady(draw, span, lambda _: caller, Texts(draw, "injection", attack=True), 60), True)


def spam_without_key(draw: Random, span: Span) -> Iterator[Sender]:
    """One address, no key, ten attacks a minute."""
    caller = anonymous("spammer")
    yield Sender("spam", _steady(draw, span, lambda _: caller, Texts(draw, "jailbreak", attack=True), 10), True)


def spam_in_office(draw: Random, span: Span) -> Iterator[Sender]:
    """One colleague of the two hundred behind the office's address turns."""
    caller = key("colleague-bad", "office")
    yield Sender("spam", _steady(draw, span, lambda _: caller, Texts(draw, "jailbreak", attack=True), 40), True)


def low_and_slow(draw: Random, span: Span, per_minute: float = 2.0) -> Iterator[Sender]:
    """One key, two attacks a minute for an hour: a twenty-fifth of its limit."""
    caller = key("slow", "slow")
    texts = Texts(draw, "injection", attack=True)
    yield Sender("slow", _steady(draw, span, lambda _: caller, texts, per_minute), True)


def _rotation(draw: Random, span: Span, uses: int, per_minute: float, score_class: str) -> Iterator[Sender]:
    attack = score_class != "everyday"

    def actor() -> Actor:
        texts, base = Texts(draw, score_class, attack), draw.randrange(1 << 20)
        now, number = span.attack_us, 0
        while now < span.attack_end_us:
            caller = key(f"rotated-{number // uses}", "rotator")
            yield Ask(now, caller, texts.fresh("filled", base), chat_tokens(draw) * 3, malicious=True)
            number += 1
            now += int(draw.uniform(0.5, 1.5) * 60 / per_minute * SECOND)

    yield Sender("rotation", actor(), True)


def rotation(draw: Random, span: Span) -> Iterator[Sender]:
    """The issue's story: one address, key after key, each far under its limit, one harmless-looking template."""
    return _rotation(draw, span, 20, 30, "everyday")


def rotation_low_use(draw: Random, span: Span) -> Iterator[Sender]:
    """The same with five requests a key: hundreds of keys."""
    return _rotation(draw, span, 5, 30, "everyday")


def rotation_attacks(draw: Random, span: Span) -> Iterator[Sender]:
    """Rotation with attacks for texts, ten a key."""
    return _rotation(draw, span, 10, 30, "injection")


def leaked_key(draw: Random, span: Span) -> Iterator[Sender]:
    """One key on a thousand addresses at its full rate; half of what they send are attacks, its owner works on."""
    caller_texts, bad = Texts(draw), Texts(draw, "jailbreak", attack=True)

    def strangers() -> Actor:
        now = span.attack_us
        while now < span.attack_end_us:
            texts = bad if draw.random() < 0.5 else caller_texts
            caller = key("leaked", f"stranger-{draw.randrange(1000)}")
            yield Ask(now, caller, texts.fresh("own"), chat_tokens(draw), malicious=True)
            now += poisson_s(draw, 45)

    def owner(own: Random) -> Actor:
        texts, now = Texts(own), span.start_us
        while now < span.attack_us:
            yield Ask(now, key("leaked", "owner"), texts.fresh("own"), chat_tokens(own))
            now += poisson_s(own, 2)

    yield Sender("owner before the leak", owner(Random(draw.getrandbits(64))))
    yield Sender("leaked key", strangers(), True)


def leaked_quietly(draw: Random, span: Span) -> Iterator[Sender]:
    """A leaked key that is only used for free: ordinary texts from hundreds of addresses."""

    def strangers() -> Actor:
        texts, now = Texts(draw), span.attack_us
        while now < span.attack_end_us:
            yield Ask(now, key("shared", f"sharer-{draw.randrange(300)}"), texts.fresh("own"), chat_tokens(draw), True)
            now += poisson_s(draw, 45)

    yield Sender("leaked key", strangers(), True)


def _stuffing(draw: Random, span: Span, addresses: int, per_minute: float) -> Iterator[Sender]:
    def actor() -> Actor:
        texts, now, number = Texts(draw), span.attack_us, 0
        while now < span.attack_end_us:
            hit = draw.random() < 0.005  # a guess that is right, and is tried out at once
            name = f"found-{number}" if hit else f"guess-{number}"
            caller = key(name, f"stuffer-{number % addresses}")
            yield Ask(now, caller, texts.fresh("same", 1), 5, malicious=True, known=hit)
            number += 1
            now += poisson_s(draw, per_minute)

    yield Sender("stuffing", actor(), True)


def stuffing(draw: Random, span: Span) -> Iterator[Sender]:
    """Guessed keys from one address, sixty a minute."""
    return _stuffing(draw, span, 1, 60)


def stuffing_spread(draw: Random, span: Span) -> Iterator[Sender]:
    """Guessed keys from a hundred addresses, two hundred a minute together."""
    return _stuffing(draw, span, 100, 200)


def cost_abuse(draw: Random, span: Span) -> Iterator[Sender]:
    """The longest texts a key may send, harmless to the classifier, as fast as its tokens allow."""

    def actor() -> Actor:
        texts, base, now = Texts(draw), draw.randrange(1 << 20), span.attack_us
        while now < span.attack_end_us:
            yield Ask(now, key("costly", "costly"), texts.fresh("filled", base), 24_000, malicious=True)
            now += poisson_s(draw, 6)

    yield Sender("cost abuse", actor(), True)


def paraphrases(draw: Random, span: Span) -> Iterator[Sender]:
    """One attack in ever new words: twenty keys on twenty addresses, each four a minute, eighty together."""
    callers = [key(f"campaign-{number}", f"campaign-{number}") for number in range(20)]
    texts, base = Texts(draw, "jailbreak", attack=True), draw.randrange(1 << 20)
    yield Sender("campaign", _steady(draw, span, lambda _: draw.choice(callers), texts, 80, base=base), True)


def probe(draw: Random, span: Span) -> Iterator[Sender]:
    """Variations of attacks that all score under the point where they would be stopped, ten a minute."""
    caller = key("probe", "probe")
    yield Sender("probe", _steady(draw, span, lambda _: caller, Texts(draw, "below", attack=True), 10), True)


def probe_lower(draw: Random, span: Span) -> Iterator[Sender]:
    """The same under the point at which a strict policy would point them out."""
    caller = key("probe", "probe")
    yield Sender("probe", _steady(draw, span, lambda _: caller, Texts(draw, "far below", attack=True), 10), True)


ATTACKERS: Final[Mapping[str, Attacker]] = {
    attacker.name: attacker
    for attacker in (
        Attacker("spam", spam, 0.95),
        Attacker("spam without a key", spam_without_key, 0.95),
        Attacker("spam from the office of 200", spam_in_office, 0.95, beside=office),
        Attacker("low and slow, 2/min", low_and_slow, 0.80, 60),
        Attacker("rotation, 20 a key", rotation, 0.95),
        Attacker("rotation, 5 a key", rotation_low_use, 0.95),
        Attacker("rotation with attacks", rotation_attacks, 0.95),
        Attacker("leaked key", leaked_key, 0.95),
        Attacker("leaked key, harmless texts", leaked_quietly),
        Attacker("stuffing", stuffing),
        Attacker("stuffing, 100 addresses", stuffing_spread),
        Attacker("cost abuse", cost_abuse, 0.95),
        Attacker("paraphrase campaign", paraphrases, 0.95),
        Attacker("probe", probe, 0.80),
        Attacker("probe under fpr_5%", probe_lower, 0.80),
        Attacker("low and slow, 1/min", lambda draw, span: low_and_slow(draw, span, 1.0), None, 60),
        Attacker("low and slow, 1 in 5 min", lambda draw, span: low_and_slow(draw, span, 0.2), None, 60),
        *(Attacker(name, senders, None, 60) for name, senders in cunning.ATTACKS.items()),
    )
}
