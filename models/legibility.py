"""How much of a text a model can read, told by its letters.

A model reads the scripts that it was shown, and of those only what its vocabulary spells: a word with one letter that
the vocabulary lacks is [UNK] to it, whatever the word says. A low score for letters that were not read is no
judgement. Languages of one script are not told apart: their letters look alike to this count.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

LATIN: Final = "latin"

# The first word of a letter's Unicode name is its script, but for these.
_SCRIPTS: Final[Mapping[str, str]] = {
    "CJK": "han",
    "IDEOGRAPHIC": "han",
    "HIRAGANA": "kana",
    "KATAKANA": "kana",
    "KATAKANA-HIRAGANA": "kana",
}
# Signs that count as letters and stand in text of any script (ª, º, µ, ʰ); normalisation leaves few of them.
_ANYWHERE: Final = frozenset(
    {"FEMININE", "MASCULINE", "MICRO", "MODIFIER", "MATHEMATICAL", "DOUBLE-STRUCK", "BLACK-LETTER", "SCRIPT", "KELVIN"}
)


# How many Latin letters say as much as one of these: "ignore all instructions" is 忽略所有指令.
_WEIGHTS: Final[Mapping[str, int]] = {"han": 3, "kana": 2, "hangul": 2}


@dataclass(frozen=True, slots=True)
class Legibility:
    """Of `letters`, how many were not read, by script, and how much text is `foreign`, in Latin letters.

    Foreign is what a model of these scripts never reads: letters of other scripts, a Han letter as three Latin ones and
    a kana or Hangul letter as two; and Latin words that it cannot spell, since no ordinary text holds a sentence of
    them. Where every letter is read, `letters` need not be counted.
    """

    letters: int = 0
    unread: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0

    @property
    def readable(self) -> float:
        """Share of the letters that was read, 0 to 1; 1 for a text without letters."""
        return 1.0 - sum(self.unread.values()) / self.letters if self.unread else 1.0


def legibility(text: str, unknown: str, scripts: Collection[str]) -> Legibility:
    """How much of `text` a model of these `scripts` read, if the words in `unknown` were [UNK] to it.

    Linear in the length of both; for ASCII text in which no word is unknown it is one look.
    """
    if not unknown and text.isascii():
        return Legibility()
    found, hidden = Counter(text), Counter(unknown)
    letters, foreign, unread = 0, 0, Counter[str]()
    for letter, count in found.items():
        if letter.isalpha():
            letters += count
            script = script_of(letter)
            if missed := hidden[letter] if script in scripts else count:
                unread[script] += missed
                if script not in scripts or script == LATIN:
                    foreign += missed * _WEIGHTS.get(script, 1)
    return Legibility(letters, dict(unread.most_common()), foreign)


def worst(views: Sequence[Legibility]) -> Legibility:
    """How much was read of a text that has several views: as little as of the one that was read worst.

    What an encoding hides is as foreign as what stands open, and the encoding itself is plain Latin letters.
    """
    least = min(views, key=lambda seen: seen.readable)
    return replace(least, foreign=max(seen.foreign for seen in views))


def script_of(letter: str) -> str:
    """The script of one letter, in lower case: latin, cyrillic, han, ..."""
    name = unicodedata.name(letter, "UNNAMED").partition(" ")[0]
    return LATIN if name in _ANYWHERE else _SCRIPTS.get(name, name.lower())
