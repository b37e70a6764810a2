"""Real documents with a sentence planted in them, each with its harmless twin.

A grammar's carriers are recognisable, and so the carrier could become the label. Here the document is a public
one, the attack comes from our grammars or is a short attack of a public corpus, and the same document stands
there clean, or with a harmless sentence at the same place. Documents and attacks of one side of the split are never
joined with those of the other.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from data.config import PlantingConfig
from data.generators import benign, payloads
from data.generators.grammar import Grammar, load_grammar
from data.generators.registry import split_of
from data.schema import Example, Kind, LicenceClass
from data.splits import Split

SOURCE: Final = "weir_planted"
_SHORTEST, _LONGEST = 250, 2600  # characters of a document: a few windows, so that training can show them all
_PAYLOAD: Final = (12, 320)  # characters of an attack that can be planted
_CORPUS_SHARE: Final = 0.45  # of the attacks, from public corpora
_BREAK: Final = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class _Place:
    """Where a sentence goes in: `at` is a character offset, `joint` what stands between it and its neighbours."""

    name: str
    at: int
    joint: str


def plant(examples: Sequence[Example], config: PlantingConfig, seed: int, side: Split) -> Iterator[Example]:
    """`config.count` texts, fewer if there are not enough documents; deterministic.

    Of each document: the attack, and the clean text or a twin with a harmless sentence at the same place. `examples`
    are the rows of `side`, and the templates of our own sentences are those of that side.
    """
    grammar = load_grammar()
    documents = [one for one in _harmless(examples, config.documents) if len(one.text) >= _SHORTEST]
    attacks = _attacks(examples, config.payloads)
    order = random.Random(f"{SOURCE}:{seed}")  # noqa: S311  # reproducible texts, not secrets
    order.shuffle(documents)
    made = 0
    for document in documents:
        rng = random.Random(f"{SOURCE}:{seed}:{document.id}")  # noqa: S311
        for text, kind, labels in _family(grammar, rng, document.text, attacks, side):
            if made == config.count:
                return
            yield Example(
                id=f"{SOURCE}-{document.id}-{labels['form']}",
                text=text,
                source=SOURCE,
                kind=kind,
                split=side,
                licence_class=LicenceClass.PERMISSIVE_UPSTREAM,
                group=document.group or document.id,
                labels={**labels, "document": document.source},
            )
            made += 1


def _harmless(examples: Sequence[Example], sources: Sequence[str]) -> list[Example]:
    return [one for one in examples if one.source in sources and one.kind is Kind.BENIGN]


def _attacks(examples: Sequence[Example], sources: Sequence[str]) -> list[str]:
    """Short attacks, which are whole instructions by themselves."""
    shortest, longest = _PAYLOAD
    return [
        one.text.strip()
        for one in examples
        if one.source in sources and one.kind is Kind.INJECTION and shortest <= len(one.text) <= longest
    ]


def _family(
    grammar: Grammar, rng: random.Random, document: str, attacks: Sequence[str], side: Split
) -> Iterator[tuple[str, Kind, dict[str, str]]]:
    text = _excerpt(document, rng)
    place = _place(text, rng)
    if attacks and rng.random() < _CORPUS_SHARE:
        attack, intent = rng.choice(attacks), "corpus"
    else:
        payload = payloads.planted(grammar, rng, "document")
        while split_of(payload.key) != side:
            payload = payloads.planted(grammar, rng, "document")
        attack, intent = payload.text, payload.intent
    facts = {"placement": place.name, "carrier": "document"}
    yield _inserted(text, place, attack), Kind.INJECTION, {**facts, "form": "attack", "intent": intent}
    if rng.random() < 0.55:
        yield text, Kind.BENIGN, {**facts, "form": "clean", "intent": "none"}
    else:
        twin = benign.twin_text(grammar, rng)
        yield _inserted(text, place, twin.text), Kind.BENIGN, {**facts, "form": twin.form, "intent": "none"}


def _excerpt(document: str, rng: random.Random) -> str:
    """A run of whole sentences, its length drawn so that short and long ones are alike frequent."""
    size = round(_SHORTEST * (_LONGEST / _SHORTEST) ** rng.random())
    if len(document) <= size:
        return document.strip()
    start = rng.randrange(len(document) - size)
    first = _BREAK.search(document, start)
    begin = first.end() if first and first.end() < start + size // 3 else start
    cut = document[begin : begin + size]
    ends = [match.start() for match in _BREAK.finditer(cut)]
    return cut[: ends[-1]].strip() if ends and ends[-1] > size // 2 else cut.strip()


def _place(text: str, rng: random.Random) -> _Place:
    """Before, behind, or between two sentences, each third as likely."""
    name = rng.choice(["start", "middle", "end"])
    lines = "\n" in text
    joint = rng.choice(["\n\n", "\n", " "] if lines else [" ", " ", "\n"])
    breaks = [match.end() for match in _BREAK.finditer(text)]
    if name == "middle" and breaks:
        return _Place(name, rng.choice(breaks), joint)
    return _Place("start", 0, joint) if name == "start" else _Place("end", len(text), joint)


def _inserted(text: str, place: _Place, sentence: str) -> str:
    before, after = text[: place.at].rstrip(), text[place.at :].lstrip()
    return place.joint.join(part for part in (before, sentence, after) if part)
