"""Ways to disguise a text, for attacks and for innocent text alike."""

from __future__ import annotations

import base64
import codecs
import itertools
import random
import re
import urllib.parse
from collections.abc import Callable
from typing import Final

from data.generators.grammar import Grammar

_LEET = str.maketrans("aeiostlg", "43105719")
_LOOKALIKE = dict(
    zip(
        "aceiopxyABEIOST",
        "\u0430\u0441\u0435\u0456\u043e\u0440\u0445\u0443\u0391\u0392\u0395\u0399\u039f\u0405\u03a4",
        strict=True,
    )
)
_ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad")

Evasion = Callable[[str, random.Random, Grammar], str]


def encoded(name: str, text: str, rng: random.Random) -> str:
    """`text` in base64, hex, rot13, url (percent) encoding or reversed, and nothing round it."""
    match name:
        case "base64":
            return base64.b64encode(text.encode()).decode()
        case "hex":
            return text.encode().hex(" ") if rng.random() < 0.3 else text.encode().hex()
        case "rot13":
            return codecs.encode(text, "rot13")
        case "url":
            return urllib.parse.quote(text)
        case _:
            return " ".join(reversed(text.split(" "))) if rng.random() < 0.3 else text[::-1]


def _encoding(name: str, spoken: str) -> Evasion:
    def disguise(text: str, rng: random.Random, grammar: Grammar) -> str:
        code = encoded(name, text, rng)
        if rng.random() < 0.25:
            return code
        return grammar.draw("decode_wrap", rng).replace("%", spoken).replace("§", code)

    return disguise


def leetspeak(text: str, rng: random.Random, grammar: Grammar) -> str:  # noqa: ARG001
    """Digits for letters, in all words or in most."""
    share = rng.choice([0.6, 1.0])
    return " ".join(word.translate(_LEET) if rng.random() < share else word for word in text.split(" "))


def homoglyphs(text: str, rng: random.Random, grammar: Grammar) -> str:  # noqa: ARG001
    """Cyrillic and Greek letters that look Latin."""
    share = rng.choice([0.3, 0.7])
    return "".join(_LOOKALIKE.get(letter, letter) if rng.random() < share else letter for letter in text)


def zero_width(text: str, rng: random.Random, grammar: Grammar) -> str:  # noqa: ARG001
    """Invisible characters inside words."""
    mark, share = rng.choice(_ZERO_WIDTH), rng.choice([0.15, 0.5])
    return "".join(letter + mark if letter.isalpha() and rng.random() < share else letter for letter in text)


def spaced(text: str, rng: random.Random, grammar: Grammar) -> str:  # noqa: ARG001
    """A space, dot or hyphen between letters."""
    joint = rng.choice([" ", " ", ".", "-", "_"])
    return ("   " if joint == " " else " ").join(joint.join(word) for word in text.split())


def tag_characters(text: str, rng: random.Random, grammar: Grammar) -> str:
    """ASCII moved to the invisible Unicode tag block, behind a visible sentence."""
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in text if ord(letter) < 128)
    return grammar.draw("plain_sentence", rng) + hidden


def split_up(text: str, rng: random.Random, grammar: Grammar) -> str:
    """Pieces in variables that are to be joined."""
    words = text.split(" ")
    cuts = sorted(rng.sample(range(1, len(words)), min(2, len(words) - 1)))
    bounds = [0, *cuts, len(words)]
    names = rng.choice(["abc", "xyz", "pqr"])
    pieces = [" ".join(words[low:high]) for low, high in itertools.pairwise(bounds)]
    lines = [f'{name} = "{piece}"' for name, piece in zip(names, pieces, strict=False)]
    total = " + ".join(names[: len(pieces)])
    return rng.choice(["\n", "; "]).join(lines) + " " + grammar.draw("split_wrap", rng).replace("§", total)


def html_entities(text: str, rng: random.Random, grammar: Grammar) -> str:  # noqa: ARG001
    """Numeric character references for most letters."""
    return "".join(f"&#{ord(letter)};" if letter.isalpha() and rng.random() < 0.8 else letter for letter in text)


def keywords_abroad(text: str, rng: random.Random, grammar: Grammar) -> str:
    """Key words of the sentence in another language."""
    column = rng.randrange(5)

    def foreign(match: re.Match[str]) -> str:
        return grammar.rules["kw_" + match[0].lower()][column]

    known = [rule[3:] for rule in grammar.rules if rule.startswith("kw_")]
    return re.sub(r"\b(" + "|".join(known) + r")\b", foreign, text, flags=re.IGNORECASE)


def marked_up(text: str, rng: random.Random, grammar: Grammar) -> str:
    """Markdown that hides or dresses up the text: link title, image alternative text, reference, emphasis."""
    link = grammar.draw("foreign_link", rng)
    quoted = text.replace('"', "'")
    forms = [
        f'[details]({link} "{quoted}")',
        f"![{text}]({link})",
        f"[//]: # ({text})",
        f"**{text}**",
        f"> {text}",
        f"~~{text}~~",
    ]
    return rng.choice(forms)


EVASIONS: Final[dict[str, tuple[Evasion, int]]] = {
    "base64": (_encoding("base64", "base64"), 12),
    "hex": (_encoding("hex", "hex"), 6),
    "rot13": (_encoding("rot13", "ROT13"), 7),
    "url": (_encoding("url", "URL encoding"), 3),
    "reversed": (_encoding("reversed", "reversed text"), 7),
    "leetspeak": (leetspeak, 11),
    "homoglyphs": (homoglyphs, 10),
    "zero_width": (zero_width, 9),
    "spacing": (spaced, 9),
    "tag_characters": (tag_characters, 3),
    "splitting": (split_up, 9),
    "html_entities": (html_entities, 3),
    "keywords": (keywords_abroad, 5),
    "markdown": (marked_up, 10),
}


def evade(text: str, rng: random.Random, grammar: Grammar) -> tuple[str, str]:
    """`text` in disguise, and the name of the disguise. A text of one word is spaced instead of split."""
    names = list(EVASIONS)
    name = rng.choices(names, [EVASIONS[entry][1] for entry in names])[0]
    if name == "splitting" and len(text.split(" ")) < 3:
        name = "spacing"
    return EVASIONS[name][0](text, rng, grammar), name
