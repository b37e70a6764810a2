"""Documents for the needle test: clean text of any length in several carriers, and one sentence planted in it.

Sentences and surroundings come from our own grammars; the planted ones from templates of the validation side, which no
training row was made from. Long harmless documents come from corpora that no training set may use (data/build.yaml).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from data.generators import payloads
from data.generators.carriers.draft import html_text, json_string
from data.generators.carriers.prose import domain, paragraph, sentences
from data.generators.grammar import Grammar
from data.generators.registry import split_of
from data.schema import Kind
from data.sources import load

LONG: Final = 4_000
# Harmless rows that licences keep out of every training set, so that no model has seen them.
REAL_SOURCES: Final = ("alpaca_eval", "instruct_eval_mix", "safeguard_prompt_injection", "codealpaca")
_MOST_TRIES: Final = 2_000


@dataclass(frozen=True)
class Carrier:
    """A kind of document: a head, units in a row, a foot; `planted` makes a unit of a sentence."""

    head: str
    joint: str
    foot: str
    unit: Callable[[Grammar, random.Random, str], str]
    planted: Callable[[str], str]

    def document(self, units: list[str]) -> str:
        """The document that consists of these units."""
        return self.head + self.joint.join(units) + self.foot


def _sentence(grammar: Grammar, rng: random.Random, rule: str) -> str:
    return sentences(grammar, rng, rule, 1)[0]


def _record(grammar: Grammar, rng: random.Random, rule: str) -> str:
    fields = {
        "id": rng.randint(100, 9_999),
        "title": grammar.draw("heading", rng),
        "text": _sentence(grammar, rng, rule),
    }
    return json.dumps(fields, ensure_ascii=False)


def _element(grammar: Grammar, rng: random.Random, rule: str) -> str:
    return f"<p>{html_text(' '.join(sentences(grammar, rng, rule, 2)))}</p>"


def _mail(grammar: Grammar, rng: random.Random, rule: str) -> str:
    opening = grammar.expand("> On {date} at {clock}, {person} <{plain_email}> wrote:\n> ", rng)
    return opening + " ".join(sentences(grammar, rng, rule, 2))


def _line(grammar: Grammar, rng: random.Random, rule: str) -> str:
    message = _sentence(grammar, rng, rule) if rng.random() < 0.3 else grammar.draw("log_line", rng)
    return grammar.expand("{iso_date}T{n:10-23}:{n:10-59}:{n:10-59} {INFO|INFO|WARN|DEBUG} ", rng) + message


def _function(grammar: Grammar, rng: random.Random, rule: str) -> str:  # noqa: ARG001  code is of no domain
    return f"# {grammar.draw('code_comment', rng)}\n{grammar.draw('code_python', rng)}"


CARRIERS: Final[Mapping[str, Carrier]] = {
    "prose": Carrier("", " ", "", _sentence, str),
    "json": Carrier(
        '{"status": "ok", "results": [', ", ", "]}", _record,
        lambda text: f'{{"id": 100, "title": "Note", "text": "{json_string(text)}"}}',
    ),
    "html": Carrier("<html><body>\n", "\n", "\n</body></html>", _element, lambda text: f"<p>{html_text(text)}</p>"),
    "email": Carrier("", "\n\n", "", _mail, lambda text: f"> {text}"),
    "log": Carrier("", "\n", "", _line, lambda text: f"2025-03-04T11:20:31 INFO note: {text}"),
    "code": Carrier("", "\n\n", "", _function, lambda text: f"# {text}"),
}  # fmt: skip


def clean_units(carrier: Carrier, grammar: Grammar, rng: random.Random, length: int, room: int = 0) -> list[str]:
    """Units that make a document of about `length` characters, `room` of which are left free; at least one unit."""
    rule = domain(grammar, rng)
    units = [carrier.unit(grammar, rng, rule)]
    written = len(carrier.document(units)) + room
    while True:
        unit = carrier.unit(grammar, rng, rule)
        written += len(carrier.joint) + len(unit)
        if written > length:
            return units
        units.append(unit)


def planted_document(carrier: Carrier, units: list[str], sentence: str, position: float) -> str:
    """The document with the sentence at a relative position: 0 is before the first unit, 1 behind the last."""
    place = round(position * len(units))
    return carrier.document([*units[:place], carrier.planted(sentence), *units[place:]])


def needles(grammar: Grammar, rng: random.Random, count: int) -> list[str]:
    """`count` attacks of one line, each of another template of the validation side, undisguised.

    Raises ValueError if the grammar has too few such templates.
    """
    found: dict[str, str] = {}
    for _ in range(_MOST_TRIES):
        payload = payloads.planted(grammar, rng, "article")
        ordinary = payload.kind is Kind.INJECTION and payload.evasion == "none" and payload.style == "plain"
        if ordinary and "\n" not in payload.text and split_of(payload.key) == "validation":
            found.setdefault(payload.key, payload.text)
        if len(found) == count:
            return list(found.values())
    raise ValueError(f"only {len(found)} templates of the validation side, {count} wanted")


def generated_long(grammar: Grammar, rng: random.Random, count: int) -> list[str]:
    """Harmless prose of LONG characters, with requests to people and mentions of attacks as documents have them."""
    texts = []
    for _ in range(count):
        rule, pieces = domain(grammar, rng), [""]
        while sum(map(len, pieces)) < LONG:
            pieces.append(paragraph(grammar, rng, rule))
        texts.append("\n\n".join(pieces).strip()[:LONG])
    return texts


def real_long(name: str, count: int) -> Iterator[str]:
    """At most `count` harmless documents of LONG characters of one corpus; shorter rows are joined in their order.

    Raises SourceUnavailableError where the corpus is not to be had.
    """
    rows: list[str] = []
    for example in load(name):
        if example.kind is not Kind.BENIGN or not example.text.strip():
            continue
        rows.append(example.text)
        if sum(map(len, rows)) >= LONG:
            yield "\n\n".join(rows)[:LONG]
            rows = []
            if (count := count - 1) == 0:
                return
