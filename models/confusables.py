"""Letters of other scripts that look like Latin ones, read as the Latin letter where they pose as one.

The exact look-alikes follow the single-letter entries of Unicode's confusables.txt (Unicode Technical Standard 39),
less the scripts in which Latin words are commonly embedded without a space; what its prototypes call "l" is "I" here
where the letter is a capital I. The near ones (small capitals, hooked letters, Cyrillic and Greek letters that differ
a little) are ours.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final

_EXACT: Final = {
    "A": "0391 0410 13AA 15C5 A4EE 102A0 16F40",
    "a": "0251 03B1 0430",
    "B": "0392 0412 13F4 15F7 A4D0 A7B4 10282 102A1 10301",
    "b": "0184 042C 13CF 1472 15AF",
    "C": "0421 13DF 2CA4 A4DA 102A2 10302 10415 1051C",
    "c": "0441 1D04 2CA5 ABAF 1043D",
    "D": "13A0 15DE 15EA A4D3",
    "d": "0501 13E7 146F A4D2",
    "E": "0395 0415 13AC 2D39 A4F0 10286 118A6 118AE",
    "e": "0435 04BD AB32",
    "F": "03DC 15B4 A4DD A798 10287 102A5 10525 118A2 118C2",
    "f": "0584 1E9D A799 AB35",
    "G": "050C 13C0 13F3 A4D6",
    "g": "018D 0261 0581 1D83",
    "H": "0397 041D 13BB 157C 2C8E A4E7 102CF",
    "h": "04BB 0570 13C2",
    "I": "0399 0406 04C0 16C1 2C92 2D4F A4F2 1028A 10309 16F28",
    "i": "0269 026A 03B9 0456 13A5 A647 AB75 118C3",
    "J": "037F 0408 13AB 148D A4D9 A7B2",
    "j": "03F3 0458",
    "K": "039A 041A 13E6 16D5 2C94 A4D7 10518",
    "L": "13DE 14AA 2CD0 A4E1 1041B 10526 118A3 118B2 16F16",
    "l": "0196 01C0 04CF",
    "M": "039C 03FA 041C 13B7 15F0 16D6 2C98 A4DF 102B0 10311",
    "N": "039D 2C9A A4E0 10513",
    "n": "0578 057C",
    "O": "039F 041E 0555 2C9E 2D54 A4F3 10292 102AB 10404 104C2 10516 118B5",
    "o": "03BF 03C3 043E 0585 1D0F 1D11 2C9F AB3D 1042C 104EA 118C8 118D7",
    "P": "03A1 0420 13E2 146D 2CA2 A4D1 10295",
    "p": "03C1 0440 2CA3",
    "Q": "2D55",
    "q": "051B 0563 0566",
    "R": "01A6 13A1 13D2 1587 A4E3 104B4 16F35",
    "r": "0433 1D26 2C85 AB47 AB48 AB81",
    "S": "0405 054F 13D5 13DA A4E2 10296 10420 16F3A",
    "s": "01BD 0455 A731 ABAA 10448 118C1",
    "T": "03A4 0422 13A2 2CA6 A4D4 10297 102B1 10315 118BC 16F0A",
    "U": "054D 144C A4F4 104CE 118B8 16F42",
    "u": "028B 03C5 057D 1D1C A79F AB4E AB52 104F6 118D8",
    "V": "0474 13D9 142F 2D38 A4E6 1051D 118A0 16F08",
    "v": "03BD 0475 1D20 ABA9 118C0",
    "W": "051C 13B3 13D4 A4EA",
    "w": "026F 0461 051D 0561 1D21 AB83",
    "X": "03A7 0425 16B7 2CAC 2D5D A4EB A7B3 10290 102B4 10317 10527",
    "x": "0445 1541 157D",
    "Y": "03A5 0423 04AE 13A9 13BD 2CA8 A4EC 102B2 118A4 16F43",
    "y": "0263 028F 03B3 0443 04AF 1D8C 1EFF AB5A 118DC",
    "Z": "0396 13C3 A4DC 118A9",
    "z": "1D22 AB93 118C4",
}

_NEAR: Final = {
    "a": "04D1 04D3 1D00",
    "b": "0253 0299 03B2 0432",
    "c": "0188 A793",
    "d": "0256 0257 1D05",
    "e": "0450 0451 01DD 025B 03B5 1D07",
    "f": "0192 0493 A730",
    "g": "0260 0262",
    "h": "0266 029C 043D 0527",
    "i": "0268 03AF 0457",
    "j": "029D 1D0A",
    "k": "0199 03BA 043A 1D0B",
    "l": "026B 026C 026D 029F",
    "m": "0271 043C 1D0D",
    "n": "0272 0273 0274 03B7 0438 043F",
    "o": "04E7 0275 03CC 04E9",
    "p": "01A5 1D18",
    "q": "02A0 A7AF",
    "r": "027C 027D 027E 0280",
    "s": "0282",
    "t": "01AD 0288 03C4 0442 1D1B",
    "u": "0289",
    "v": "2C74",
    "w": "03C9 0448 0449 2C73",
    "x": "03C7",
    "y": "01B4",
    "z": "01B6 0290",
}

# White letters in black circles and squares: pictures of capitals, which no script uses as letters.
_PICTURED: Final = (0x1F150, 0x1F170)

_WORD: Final = re.compile(r"\w+")


class _Kind(Enum):
    """What a word is: nothing to do with letters, Latin, Latin but for some letters, all look-alikes, or foreign."""

    OTHER = "other"
    LATIN = "latin"
    DISGUISED = "disguised"
    ALIKE = "alike"
    FOREIGN = "foreign"


def fold_confusables(text: str) -> tuple[str, int]:
    """The text with look-alikes in disguised words replaced one for one, and how many were.

    A word is disguised if it mixes Latin letters with look-alikes, if it is made of look-alikes of several scripts,
    or if it is made of exact look-alikes of one script, stands next to a Latin word and next to no word of another
    script. So words of genuine Russian or Greek stay.
    """
    exact, all_alike = _exact(), _all_alike()
    letters = set(text)
    pictured = letters & _pictured().keys()
    if pictured:
        replaced = sum(text.count(letter) for letter in pictured)
        folded, more = fold_confusables(text.translate({ord(c): _pictured()[c] for c in pictured}))
        return folded, replaced + more
    if not letters & all_alike.keys():
        return text, 0
    words = list(_WORD.finditer(text))
    kinds = [_kind(word.group(), exact, all_alike) for word in words]
    pieces: list[str] = []
    read = count = 0
    for index in _disguised(kinds):
        word = words[index]
        folded = "".join(all_alike.get(letter, letter) for letter in word.group())
        count += sum(new != old for new, old in zip(folded, word.group(), strict=True))
        pieces += (text[read : word.start()], folded)
        read = word.end()
    pieces.append(text[read:])
    return "".join(pieces), count


def _disguised(kinds: Sequence[_Kind]) -> Iterator[int]:
    """Places of the words to fold."""
    latin = (_Kind.LATIN, _Kind.DISGUISED)
    for index, kind in enumerate(kinds):
        if kind is _Kind.DISGUISED:
            yield index
        elif kind is _Kind.ALIKE:
            neighbours = (*kinds[max(index - 1, 0) : index], *kinds[index + 1 : index + 2])
            if any(near in latin for near in neighbours) and _Kind.FOREIGN not in neighbours:
                yield index


def _kind(word: str, exact: Mapping[str, str], all_alike: Mapping[str, str]) -> _Kind:
    if word.isascii():
        return _Kind.LATIN if not word.isdecimal() else _Kind.OTHER
    letters = {letter for letter in word if letter.isalpha()}
    if not letters:
        return _Kind.OTHER
    scripts = {_script(letter) for letter in letters}
    if "LATIN" in scripts:
        return _Kind.DISGUISED if letters & all_alike.keys() else _Kind.LATIN
    if len(scripts) > 1 and letters <= all_alike.keys():
        return _Kind.DISGUISED
    if len(word) > 1 and letters <= exact.keys():
        return _Kind.ALIKE
    return _Kind.FOREIGN


@functools.lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of a letter's name, which for the scripts in question is the script."""
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "UNNAMED").partition(" ")[0]


@functools.cache
def _exact() -> Mapping[str, str]:
    return {chr(int(code, 16)): latin for latin, codes in _EXACT.items() for code in codes.split()}


@functools.cache
def _all_alike() -> Mapping[str, str]:
    near = {chr(int(code, 16)): latin for latin, codes in _NEAR.items() for code in codes.split()}
    return {**near, **_exact()}


@functools.cache
def _pictured() -> Mapping[str, str]:
    return {chr(first + place): chr(ord("A") + place) for first in _PICTURED for place in range(26)}
