"""Telling text from data: what an encoding hides is worth reading only if somebody could read it."""

from __future__ import annotations

import re
from typing import Final

from models.decode_words import words

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_SENTENCE: Final = re.compile(r"(?<![A-Za-z])[A-Za-z]{1,24}(?:[ ,.;:!?'\"\n-]{1,3}[A-Za-z]{1,24}){3,}")
_SHORTEST: Final = 6
_SHORTEST_READABLE: Final = 12


def is_prose(text: str, *, least: int = 2) -> bool:
    """Whether `text` reads as words, at least so many; JSON, identifiers, paths and keys do not. Linear."""
    if len(text) < _SHORTEST or _CONTROL.search(text):
        return False
    letters = sum(map(str.isalpha, text))
    if letters * 2 < len(text):
        return _reads_on(text)
    if not text.isascii() and sum(map(str.isalpha, text.encode("ascii", "ignore").decode())) * 2 < letters:
        return True
    found = _WORD.findall(text)
    spaces = sum(map(str.isspace, text))
    if len(found) < least or (least > 1 and not spaces):
        return False
    share = (letters + spaces) / len(text)
    known = sum(word.lower() in words() for word in found)
    return (
        _reads_on(text)
        or (known * 5 >= len(found) and known > 0 and share >= 0.75)
        or (known >= 6 and known * 2 >= len(found) and spaces >= 6)
        or (len(found) >= 3 and spaces > 1 and share > 0.85)
    )


def _reads_on(text: str) -> bool:
    """Whether at least four common words follow one another, whatever stands round them."""
    for match in _SENTENCE.finditer(text):
        found = _WORD.findall(match.group())
        if sum(word.lower() in words() for word in found) >= max(4, len(found) * 0.6):
            return True
    return False


def readable(data: bytes, least: int = _SHORTEST_READABLE) -> str:
    """The text in UTF-8 or UTF-16 that `data` holds, less what is no text; empty if it has not `least` characters.

    Where much is no text, only stretches of `least` characters count.
    """
    pieces = _CONTROL.split(_characters(data))
    shortest = 1 if len(pieces) * 5 <= len(data) else least
    text = " ".join(piece for piece in pieces if len(piece) >= shortest)
    return text if len(text) >= least else ""


def _characters(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 3 > len(data) and min(even, odd) * 10 < len(data):
        return data.decode("utf-16-be" if even > odd else "utf-16-le", "replace")
    return data.decode("utf-8", "replace")
