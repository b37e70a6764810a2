"""Running text of one domain: the filling of most carriers."""

from __future__ import annotations

import random

from data.generators.grammar import Grammar

Bound = dict[str, str]


def domain(grammar: Grammar, rng: random.Random) -> str:
    """The name of one prose rule."""
    return grammar.draw("domains", rng)


def sentences(grammar: Grammar, rng: random.Random, rule: str, count: int) -> list[str]:
    """`count` sentences of one domain, with a stray one of another domain now and then."""
    order = rng.sample(range(len(grammar.rules[rule])), len(grammar.rules[rule]))
    chosen: list[str] = []
    for number in range(count):
        if rng.random() < 0.1:
            chosen.append(grammar.draw(domain(grammar, rng), rng))
        else:
            chosen.append(grammar.expand(grammar.rules[rule][order[number % len(order)]], rng))
    return chosen


def paragraph(grammar: Grammar, rng: random.Random, rule: str, low: int = 1, high: int = 6) -> str:
    """One paragraph; now and then it asks people for something or mentions an attack."""
    lines = sentences(grammar, rng, rule, rng.randint(low, high))
    if rng.random() < 0.22:
        extra = "mention_line" if rng.random() < 0.2 else "people_line"
        lines.insert(rng.randint(0, len(lines)), grammar.draw(extra, rng))
    return " ".join(lines)


def paragraphs(grammar: Grammar, rng: random.Random, rule: str, high: int = 5) -> list[str]:
    """Between one and `high` paragraphs, short texts being commoner, and a long text now and then."""
    count = 1 + int((high - 0.01) * rng.random() ** 2)
    if rng.random() < 0.12:
        count += rng.randint(2, 6)
    return [paragraph(grammar, rng, rule) for _ in range(count)]


def title(grammar: Grammar, rng: random.Random) -> str:
    """A heading or subject line."""
    return grammar.draw("heading", rng)
