"""How a sentence is worded or typed; used on attacks and on their harmless twins alike."""

from __future__ import annotations

import random
import re
from typing import Final

from data.generators.grammar import Grammar, uncapitalised

_NEIGHBOURS: Final = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "l": "ko",
    "m": "nk", "n": "bm", "o": "ip", "r": "et", "s": "ad", "t": "ry", "u": "yi",
}  # fmt: skip


def typos(text: str, rng: random.Random) -> str:
    """Doubled, swapped, dropped and mistyped letters in about every fifth word."""
    words = text.split(" ")
    for number, word in enumerate(words):
        if len(word) > 3 and word.isalpha() and rng.random() < 0.22:
            spot = rng.randrange(1, len(word) - 1)
            wrong = rng.choice(_NEIGHBOURS.get(word[spot], word[spot]))
            words[number] = rng.choice([
                word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :],
                word[:spot] + word[spot + 1 :],
                word[:spot] + word[spot] + word[spot:],
                word[:spot] + wrong + word[spot + 1 :],
            ])  # fmt: skip
    return " ".join(words)


def lower(text: str, rng: random.Random) -> str:
    """No capitals, and now and then no final stop."""
    text = text.lower()
    return text.rstrip(".") if rng.random() < 0.5 else text


def shouted(text: str, rng: random.Random) -> str:
    """Capitals throughout or in the first few words."""
    if rng.random() < 0.5:
        return text.upper()
    words = text.split(" ")
    return " ".join([word.upper() for word in words[:4]] + words[4:])


def polite(text: str, rng: random.Random, grammar: Grammar) -> str:
    """Courtesies before and behind."""
    lead = grammar.draw("polite_lead", rng)
    body = text if lead.endswith((".", "!", ":")) else uncapitalised(text)
    return f"{lead} {body}" + (" " + grammar.draw("polite_tail", rng) if rng.random() < 0.5 else "")


def bureaucratic(text: str, rng: random.Random, grammar: Grammar) -> str:
    """An official-sounding frame."""
    return f"{grammar.draw('official_lead', rng)} {text}" + (
        " " + grammar.draw("official_tail", rng) if rng.random() < 0.4 else ""
    )


def several(text: str, rng: random.Random, grammar: Grammar) -> str:
    """The sentence among others that say nothing much."""
    before = grammar.draw("small_talk", rng) if rng.random() < 0.6 else ""
    after = grammar.draw("small_talk", rng) if rng.random() < 0.6 else ""
    return " ".join(part for part in (before, text, after) if part)


def curt(text: str, rng: random.Random) -> str:
    """Courtesy words dropped."""
    text = re.sub(r"\b([Pp]lease|[Kk]indly) ", "", text)
    return text.rstrip(".") if rng.random() < 0.3 else text


STYLES: Final = {
    "plain": 46,
    "several": 14,
    "polite": 9,
    "bureaucratic": 9,
    "typos": 8,
    "lower": 7,
    "curt": 4,
    "shouted": 3,
}
_WORDED: Final = {"several": several, "polite": polite, "bureaucratic": bureaucratic}
_TYPED: Final = {"typos": typos, "lower": lower, "curt": curt, "shouted": shouted}


def styled(text: str, rng: random.Random, grammar: Grammar) -> tuple[str, str]:
    """`text` in a style drawn at random, and the style's name."""
    name = rng.choices(list(STYLES), list(STYLES.values()))[0]
    if name in _WORDED:
        return _WORDED[name](text, rng, grammar), name
    return (_TYPED[name](text, rng) if name in _TYPED else text), name
