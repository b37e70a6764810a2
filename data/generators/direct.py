"""Short direct injections as people type them, and harmless prompts that are full of the same words.

A detector that goes by words marks every "ignore my last message" and misses an attack in plain clothes. So the two
sides share their leads, joints and typing here, and every third text comes in a pair with the same opening that
differ by the clause that turns one of them into an attack.
"""

from __future__ import annotations

import random
import re
from typing import Final

from data.generators.grammar import Choice, Grammar, capitalised
from data.generators.made import Made
from data.generators.styles import styled
from data.schema import Kind

PAIRS: Final = 0.20
ATTACKS: Final = 0.42  # of the texts that are no pair; pairs are half attacks
_MARK: Final = "~~"
_ATTACKS: Final[dict[str, int]] = {
    "dx_a_secret": 13,
    "dx_a_leak": 12,
    "dx_a_above": 6,
    "dx_a_forget": 16,
    "dx_a_role": 7,
    "dx_a_system": 9,
    "dx_a_de": 8,
    "dx_a_code": 6,
    "dx_a_translate": 7,
    "dx_a_hijack": 8,
    "dx_a_exfil": 7,
    "dx_a_plead": 6,
    "dx_a_plain": 8,
    "dx_a_ask": 11,
    "dx_a_long": 15,
}
_BENIGN: Final[dict[str, int]] = {
    "dx_b_code": 11,
    "dx_b_it": 8,
    "dx_b_life": 9,
    "dx_b_health": 6,
    "dx_b_fun": 9,
    "dx_b_self": 13,
    "dx_b_ai": 13,
    "dx_b_work": 11,
    "dx_b_people": 6,
    "dx_b_de": 7,
    "dx_b_words": 6,
    "dx_b_long": 7,
    "dx_b_your": 18,
    "dx_b_act": 17,
    "dx_q": 3,
}
_PLACES: Final[dict[str, int]] = {"alone": 56, "end": 22, "start": 10, "middle": 12}
_TYPING: Final[dict[str, int]] = {
    "plain": 55, "worded": 12, "lower": 11, "chatty": 6, "bare": 6, "caps": 4, "tail": 6,
}  # fmt: skip
_TAILS: Final = ("!!", "!!!", "??", "...", " pls", " please", " :)", " thanks", "?!")
_CHAT_WORDS: Final[dict[str, str]] = {
    "you": "u", "your": "ur", "are": "r", "please": "pls", "because": "cuz", "and": "n", "for": "4", "to": "2",
    "do not": "dont", "i am": "im", "what is": "whats", "with": "w", "thanks": "thx", "want to": "wanna",
}  # fmt: skip


def family(grammar: Grammar, rng: random.Random) -> list[Made]:
    """An attack and its harmless twin, or a single text of either side."""
    if rng.random() < PAIRS:
        return _pair(grammar, rng)
    attack = rng.random() < ATTACKS
    weights = _ATTACKS if attack else _BENIGN
    rule = rng.choices(list(weights), list(weights.values()))[0]
    choice = grammar.choose(rule, rng)
    place = rng.choices(list(_PLACES), list(_PLACES.values()))[0]
    text = _placed(grammar, rng, capitalised(choice.text) if rng.random() < 0.7 else choice.text, place)
    typed, style = _typed(grammar, rng, text)
    labels = {"form": rule.removeprefix("dx_"), "placement": place, "style": style}
    return [Made(typed, Kind.INJECTION if attack else Kind.BENIGN, choice.key, labels)]


def _pair(grammar: Grammar, rng: random.Random) -> list[Made]:
    """Both texts are typed the same way, or a way of typing would tell them apart."""
    choice: Choice = grammar.choose(rng.choice(("dx_twin", "dx_twin_more")), rng)
    lead, attack, harmless = (part.strip() for part in choice.text.split(_MARK))
    trail = " " + grammar.draw("dx_q", rng) if rng.random() < 0.15 else ""
    joint = "\n\n" if lead.endswith((".", "?", "!")) and rng.random() < 0.2 else " "
    state = rng.getstate()
    texts = []
    for tail, kind in ((attack, Kind.INJECTION), (harmless, Kind.BENIGN)):
        rng.setstate(state)
        typed, style = _typed(grammar, rng, f"{lead}{joint}{tail}{trail}")
        texts.append(Made(typed, kind, choice.key, {"form": "pair", "placement": "end", "style": style}))
    return texts


def _placed(grammar: Grammar, rng: random.Random, text: str, place: str) -> str:
    """`text` alone, or next to the ordinary questions and pasted texts that both sides share."""
    joint = rng.choice([" ", " ", " ", "\n", "\n\n", " ... "])
    before = grammar.draw("dx_lead", rng) if place in {"end", "middle"} else ""
    after = grammar.draw("dx_lead", rng) if place in {"start", "middle"} else ""
    if after and not text.endswith((".", "!", "?", ")", '"')):
        text += "."
    return joint.join(part for part in (before, text, after) if part)


def _typed(grammar: Grammar, rng: random.Random, text: str) -> tuple[str, str]:
    """As a hurried user would type it."""
    style = rng.choices(list(_TYPING), list(_TYPING.values()))[0]
    match style:
        case "worded":
            return styled(text, rng, grammar)
        case "lower":
            text = text.lower().rstrip(".")
        case "chatty":
            text = chatty(text, rng)
        case "bare":
            text = re.sub(r"[.,;:!?'\"]+(?=\s|$)", "", text)
        case "caps":
            text = text.upper()
        case "tail":
            text = text.rstrip(".!?") + rng.choice(_TAILS)
        case _:
            pass
    return text, style


def chatty(text: str, rng: random.Random) -> str:
    """Words shortened as on a phone; each kind of word in three texts of four."""
    short = text.lower()
    for word, brief in _CHAT_WORDS.items():
        if rng.random() < 0.75:
            short = re.sub(rf"\b{word}\b", brief, short)
    return short
