"""Attacks in carriers with their look-alikes, typed attacks, and harmless prompts of their own."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from data.generators import benign, payloads
from data.generators.carriers import Draft, draw_carrier
from data.generators.grammar import Grammar
from data.generators.made import Made
from data.schema import Kind

_FAMILIES: Final = {"planted": 26, "typed": 20, "prompt": 27, "pasted": 2}
_WRAPPED_SHARE: Final = 0.12
_LEAD_SHARE: Final = 0.25  # of the typed attacks, behind a harmless prompt


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """About 45 % are attacks. `labels` name intent, carrier, placement, style, evasion and form."""
    match rng.choices(list(_FAMILIES), list(_FAMILIES.values()))[0]:
        case "planted":
            return _planted(grammar, rng)
        case "typed":
            return [_typed(grammar, rng)]
        case "pasted":
            return [_harmless(benign.pasted(grammar, rng))]
        case _:
            return [_harmless(benign.prompt(grammar, rng))]


def _typed(grammar: Grammar, rng: random.Random) -> Made:
    attack = payloads.typed(grammar, rng)
    text = attack.text
    if rng.random() < _LEAD_SHARE:
        text = benign.lead(grammar, rng) + rng.choice([" ", "\n", "\n\n"]) + text
    return Made(text, attack.kind, attack.key, _attack_labels(attack, "none", "none"))


def _harmless(text: benign.Harmless) -> Made:
    return Made(text.text, Kind.BENIGN, text.key, _labels("none", "none", text))


def _planted(grammar: Grammar, rng: random.Random) -> list[Made]:
    """A poisoned carrier and one or two twins of it, in random order, all wrapped in a user's request or none."""
    draft = draw_carrier(grammar, rng)
    place = _place(draft, rng)
    placement = draft.slots[place].placement
    attack = payloads.planted(grammar, rng, draft.kind)
    group = attack.key
    texts = [Made(draft.fill(place, attack.text), attack.kind, group, _attack_labels(attack, draft.kind, placement))]
    forms = rng.choices([["clean"], ["other"], ["clean", "other"]], [50, 40, 10])[0]
    for form in forms:
        if form == "clean":
            twin = benign.Harmless("", group, "clean", "plain")
            texts.append(Made(draft.clean(), Kind.BENIGN, group, _labels(draft.kind, "none", twin)))
        else:
            twin = benign.twin_text(grammar, rng)
            texts.append(Made(draft.fill(place, twin.text), Kind.BENIGN, group, _labels(draft.kind, placement, twin)))
    if rng.random() < _WRAPPED_SHARE:
        noun = draft.kind.replace("_", " ")
        texts = [_wrapped(grammar, rng, made, noun) for made in texts]
    rng.shuffle(texts)
    return texts


def _wrapped(grammar: Grammar, rng: random.Random, made: Made, noun: str) -> Made:
    text = benign.around_document(grammar, rng, made.text, noun)
    return replace(made, text=text, labels={**made.labels, "wrapped": "request"})


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
