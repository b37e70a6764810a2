"""Telling text from data: what an encoding hides is worth reading only if somebody could read it."""

from __future__ import annotations

import re
from typing import Final

from models.decode_words import words

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_SHORTEST: Final = 6
_SHORTEST_READABLE: Final = 12


def is_prose(text: str, *, least: int = 2) -> bool:
    """Whether `text` reads as words, at least so many; JSON, identifiers, paths and keys do not. Linear."""
    if len(text) < _SHORTEST or _CONTROL.search(text):
        return False
    letters = sum(map(str.isalpha, text))
    if letters * 2 < len(text):
        return False
    if not text.isascii() and sum(map(str.isalpha, text.encode("ascii", "ignore").decode())) * 2 < letters:
        return True
    found = _WORD.findall(text)
    spaces = sum(map(str.isspace, text))
    if len(found) < least or (least > 1 and not spaces):
        return False
    share = (letters + spaces) / len(text)
    known = sum(word.lower() in words() for word in found)
    return (
        (known * 5 >= len(found) and known > 0 and share >= 0.75)
        or (known >= 6 and known * 2 >= len(found) and spaces >= 6)
        or (len(found) >= 3 and spaces > 1 and share > 0.85)
    )


def readable(data: bytes, least: int = _SHORTEST_READABLE) -> str:
    """The UTF-8 text that `data` begins with, up to what is no text; empty if it has not `least` characters."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text = data[: error.start].decode()
    if found := _CONTROL.search(text):
        text = text[: found.start()]
    return text if len(text) >= least else ""
