"""From templates to labelled examples: families of one attack and its look-alikes, and single prompts."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from data.generators import benign, payloads
from data.generators.carriers import Draft, draw_carrier
from data.generators.grammar import Grammar, load_grammar
from data.schema import Example, Kind, LicenceClass

SOURCE: Final = "weir_generated"
_VALIDATION_SHARE: Final = 10  # percent of the groups
_FAMILIES: Final = {"planted": 26, "typed": 20, "prompt": 27, "pasted": 2}
_WRAPPED_SHARE: Final = 0.12
_LEAD_SHARE: Final = 0.25  # of the typed attacks, behind a harmless prompt


@dataclass(frozen=True)
class _Made:
    """One text before it gets its id."""

    text: str
    kind: Kind
    group: str
    labels: dict[str, str]


def generate(seed: int, count: int) -> Iterator[Example]:
    """`count` examples, no two alike, the same for the same seed; a shorter run is the beginning of a longer one.

    About 45 % are attacks. Examples of one group share a template or a carrier, and stand on one side of
    the split. `labels` name intent, carrier, placement, style, evasion, form
    (attack, clean, people, ...) and family: an attack in a carrier and its twins are one family.
    """
    grammar = load_grammar()
    made = family = 0
    seen: set[str] = set()
    while made < count:
        rng = random.Random(f"{SOURCE}:{seed}:{family}")  # noqa: S311  # reproducible texts, not secrets
        for item in _family(grammar, rng):
            if made == count:
                return
            if item.text in seen:
                continue
            seen.add(item.text)
            yield _example(item, f"{SOURCE}-{seed}-{made:06d}", f"{seed}-{family}")
            made += 1
        family += 1


def split_of(group: str) -> str:
    """`train` or `validation`, by a hash of the group's name: every seed agrees."""
    digest = hashlib.sha256(group.encode()).digest()
    return "validation" if int.from_bytes(digest[:4], "big") % 100 < _VALIDATION_SHARE else "train"


def _example(item: _Made, name: str, family: str) -> Example:
    return Example(
        id=name,
        text=item.text,
        source=SOURCE,
        kind=item.kind,
        split=split_of(item.group),
        licence_class=LicenceClass.PERMISSIVE,
        group=item.group,
        labels={**item.labels, "family": family},
    )


def _family(grammar: Grammar, rng: random.Random) -> list[_Made]:
    match rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]:
        case "planted":
            return _planted(grammar, rng)
        case "typed":
            return [_typed(grammar, rng)]
        case "pasted":
            return [_harmless(benign.pasted(grammar, rng))]
        case _:
            return [_harmless(benign.prompt(grammar, rng))]


def _typed(grammar: Grammar, rng: random.Random) -> _Made:
    attack = payloads.typed(grammar, rng)
    text = attack.text
    if rng.random() < _LEAD_SHARE:
        text = benign.lead(grammar, rng) + rng.choice([" ", "\n", "\n\n"]) + text
    return _Made(text, attack.kind, attack.key, _attack_labels(attack, "none", "none"))


def _harmless(text: benign.Harmless) -> _Made:
    return _Made(text.text, Kind.BENIGN, text.key, _labels("none", "none", text))


def _planted(grammar: Grammar, rng: random.Random) -> list[_Made]:
    """A poisoned carrier and one or two twins of it, in random order, all wrapped in a user's request or none."""
    draft = draw_carrier(grammar, rng)
    place = _place(draft, rng)
    placement = draft.slots[place].placement
    attack = payloads.planted(grammar, rng, draft.kind)
    group = attack.key
    texts = [_Made(draft.fill(place, attack.text), attack.kind, group, _attack_labels(attack, draft.kind, placement))]
    forms = rng.choices([["clean"], ["other"], ["clean", "other"]], [50, 40, 10])[0]
    for form in forms:
        if form == "clean":
            twin = benign.Harmless("", group, "clean", "plain")
            texts.append(_Made(draft.clean(), Kind.BENIGN, group, _labels(draft.kind, "none", twin)))
        else:
            twin = benign.twin_text(grammar, rng)
            texts.append(_Made(draft.fill(place, twin.text), Kind.BENIGN, group, _labels(draft.kind, placement, twin)))
    if rng.random() < _WRAPPED_SHARE:
        noun = draft.kind.replace("_", " ")
        texts = [_wrapped(grammar, rng, made, noun) for made in texts]
    rng.shuffle(texts)
    return texts


def _wrapped(grammar: Grammar, rng: random.Random, made: _Made, noun: str) -> _Made:
    text = benign.around_document(grammar, rng, made.text, noun)
    return _Made(text, made.kind, made.group, {**made.labels, "wrapped": "request"})


def _place(draft: Draft, rng: random.Random) -> int:
    """Placements first and places second, so that a carrier with ten fields is not all fields."""
    places = draft.places()
    placement = rng.choice(sorted({draft.slots[number].placement for number in places}))
    return rng.choice([number for number in places if draft.slots[number].placement == placement])


def _attack_labels(attack: payloads.Payload, carrier: str, placement: str) -> dict[str, str]:
    return {
        "form": "attack",
        "intent": attack.intent,
        "carrier": carrier,
        "placement": placement,
        "style": attack.style,
        "evasion": attack.evasion,
    }


def _labels(carrier: str, placement: str, text: benign.Harmless) -> dict[str, str]:
    return {
        "form": text.form,
        "intent": "none",
        "carrier": carrier,
        "placement": placement,
        "style": text.style,
        "evasion": text.evasion,
    }
