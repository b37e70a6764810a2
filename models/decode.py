"""Finds what an encoding hides in a text, and what it says once the encoding is undone.

Encodings inside encodings are followed to a fixed depth. Segments of one level do not overlap and what a segment
says is hardly longer than the segment, so the work is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from models.decode_base64 import base32_text, base64_pieces, base64_text
from models.decode_ciphers import backwards, leetspeak, marks, rot13
from models.decode_spacing import interleaved, regional, spaced
from models.decode_text import is_prose, readable
from models.decode_transports import Segment, entities, escapes, percent, quoted, spelt_bytes

__all__ = ["DEPTH", "Segment", "decode", "may_be_encoded"]

DEPTH: Final = 3

# A sign before a letter (1gnore), a capital within a word (aWdub3Jl), a letter as a number (=49). One class of
# characters at the beginning makes the search twice as fast as three alternatives.
_WITHIN: Final = re.compile(r"[0-9@$|!+=A-Z](?:(?<=[0-9@$|!+])[A-Za-z]|(?<=[a-z][A-Z])|(?<==)[4-7][0-9A-Fa-f])")
# Spaced letters and bytes.
_SHORT_PIECES: Final = re.compile(r"(?<=[0-9A-Za-z])(?:[^0-9A-Za-z]{1,12}[0-9A-Za-z]{1,3}(?![0-9A-Za-z])){5}")
_FLAGS: Final = re.compile("(?:[\U0001f1e6-\U0001f1ff][^A-Za-z0-9\U0001f1e6-\U0001f1ff]{0,4}){5}")
_GROUPS: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{4,15}[ ,:\n-]{1,2}[0-9A-Fa-f]{4,15}(?![0-9A-Za-z])")
_UNBROKEN: Final = 16


def may_be_encoded(text: str) -> bool:
    """A quick look that spares ordinary short texts the search; too often True rather than too often False."""
    if "%" in text or "&#" in text or "\\" in text or _WITHIN.search(text) or _SHORT_PIECES.search(text):
        return True
    if not text.isascii() and _FLAGS.search(text):
        return True
    words = text.lower().split()
    if not words or len(max(words, key=len)) >= _UNBROKEN or not marks().isdisjoint(words):
        return bool(words)
    return ("0" in text or "2" in text or "6" in text) and _GROUPS.search(text) is not None


def decode(text: str, clean: Callable[[str], str], *, depth: int = DEPTH) -> list[Segment]:
    """The encoded parts of `text` in ascending order, each fully decoded and made `clean`.

    `clean` normalises what comes out of an encoding, which may hide letters in other ways.
    """
    if depth == 0 or not may_be_encoded(text):
        return []
    taken = bytearray(len(text))
    segments: list[Segment] = []
    for found in _transports(text):
        segments += _accept(found, taken, lambda segment: _opened(segment, clean, depth))
    for cipher in (spaced, regional, interleaved, leetspeak, rot13, backwards):
        segments += _accept(cipher(text), taken, lambda segment: _opened(segment, clean, depth, certain=True))
    return sorted(segments, key=lambda segment: segment.start)


def unescape(text: str, clean: Callable[[str], str]) -> list[Segment]:
    """The parts of `text` in which letters are written as escapes, references or percent codes, and what they say.

    Unlike the other decoders these keep every character that is no code, so their answer can stand for the text.
    """
    taken = bytearray(len(text))
    segments: list[Segment] = []
    for found in _written_otherwise(text):
        segments += _accept(found, taken, lambda segment: _opened(segment, clean, depth=1))
    return sorted(segments, key=lambda segment: segment.start)


def _written_otherwise(text: str) -> Iterator[Iterable[Segment]]:
    yield percent(text)
    yield quoted(text)
    yield escapes(text)
    yield entities(text)


def _transports(text: str) -> Iterator[Iterable[Segment]]:
    yield spelt_bytes(text, readable)
    yield base64_pieces(text, readable)
    yield base64_text(text, readable)
    yield base32_text(text, readable)
    yield from _written_otherwise(text)


def _accept(
    found: Iterable[Segment], taken: bytearray, opened: Callable[[Segment], Segment | None]
) -> Iterator[Segment]:
    """The segments that overlap nothing accepted before and that read as text."""
    for segment in found:
        if taken.find(1, segment.start, segment.end) < 0 and (accepted := opened(segment)):
            taken[segment.start : segment.end] = b"\1" * (segment.end - segment.start)
            yield accepted


def _opened(segment: Segment, clean: Callable[[str], str], depth: int, *, certain: bool = False) -> Segment | None:
    """The segment with everything inside it decoded too; None if it is neither text nor encoded text."""
    text = clean(segment.text)
    inner = decode(text, clean, depth=depth - 1)
    covered = sum(part.end - part.start for part in inner)
    if not text or (not certain and not is_prose(text, least=segment.least) and covered * 2 < len(text)):
        return None
    return replace(segment, text=substituted(text, inner), kind="+".join([segment.kind, *(p.kind for p in inner[:1])]))


def substituted(text: str, segments: Sequence[Segment]) -> str:
    """`text` with what each segment says in its place."""
    pieces: list[str] = []
    read = 0
    for segment in segments:
        pieces += (text[read : segment.start], segment.text)
        read = segment.end
    return "".join([*pieces, text[read:]])
