"""Encodings with a format of their own: hex and other spelt-out bytes, percent, quoted-printable, escapes, entities.

Each finder yields what may be encoded text, in ascending order; whether it reads as text is for the caller to judge.
None looks at a character more than a fixed number of times.
"""

from __future__ import annotations

import html
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Segment:
    """text[start:end] says `text` once the encoding `kind` is undone; prose has at least `least` words."""

    start: int
    end: int
    text: str
    kind: str
    least: int = 2


Reader = Callable[[bytes], str]

_HEX: Final = re.compile(r"(?<![0-9A-Za-z])(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:;.|/_\r\n-]{0,3}){8,}")
_BINARY: Final = re.compile(r"(?<![0-9A-Za-z])(?:[01]{8}[ ,:;.|/_\r\n-]{0,3}){6,}")
_DECIMAL: Final = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{2,3}[ ,:;.|/_\r\n-]{1,3}){7,}[0-9]{2,3}(?![0-9A-Za-z])")
_SEPARATED: Final = re.compile(r"[ ,:;.|/_\r\n-]+")
_PREFIX: Final = re.compile(r"\\x|0x")
# Before the bytes there may be words that look like bytes: "be", "add".
_FALSE_STARTS: Final = 3


def spelt_bytes(text: str, readable: Reader) -> Iterator[Segment]:
    """Bytes written as hexadecimal, binary or decimal numbers, joined or spaced."""
    for kind, pattern, read in (("hex", _HEX, _unhex), ("binary", _BINARY, _unbinary), ("decimal", _DECIMAL, _numbers)):
        for match in pattern.finditer(text):
            start, end = match.start(), match.start() + len(match.group().rstrip(" ,:;.|/_\r\n-"))
            for _ in range(_FALSE_STARTS):
                if decoded := readable(read(text[start:end])):
                    yield Segment(start, end, decoded, kind)
                    break
                if (gap := _SEPARATED.search(text, start, min(end, start + 16))) is None:
                    break
                start = gap.end()


def _unhex(code: str) -> bytes:
    digits = _SEPARATED.sub("", _PREFIX.sub("", code))
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _unbinary(code: str) -> bytes:
    digits = _SEPARATED.sub("", code)
    return bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))


def _numbers(code: str) -> bytes:
    numbers = [int(number) for number in _SEPARATED.split(code)]
    return bytes(numbers) if max(numbers) < 256 else b""


_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}|[^\s\"'<>&%])*")
_ESCAPED_LETTER: Final = re.compile(r"%(?:4[1-9A-Fa-f]|5[0-9Aa]|6[1-9A-Fa-f]|7[0-9Aa])")
_PERCENT_TWICE: Final = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")
_REACH: Final = 48


def percent(text: str) -> Iterator[Segment]:
    """Percent-encoding that hides letters or holds several words; the %20 of an ordinary link does not."""
    if "%" not in text:
        return
    done = 0
    for match in _PERCENT.finditer(text):
        code = match.group()
        if code.count("%") < 3:
            continue
        start, end = _left(text, match.start(), done, "\"'<>=?&/"), match.end()
        code = text[start:end]
        code = _PERCENT_TWICE.sub("%", code)
        hidden = len(_ESCAPED_LETTER.findall(code)) >= 4
        decoded = urllib.parse.unquote(code if "%20" in code else code.replace("+", " "))
        yield Segment(start, end, decoded, "percent", 1 if hidden else 3)
        done = end


def _left(text: str, start: int, floor: int, stops: str) -> int:
    floor = max(floor, start - _REACH)
    while start > floor and not text[start - 1].isspace() and text[start - 1] not in stops:
        start -= 1
    return start


# Every run of backslashes is looked at from its first one only.
_ESCAPE: Final = re.compile(
    r"(?<!\\)\\++(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(?P<octal>[0-7]{2,3}))"
    r"|%u([0-9a-fA-F]{4})|\b[Uu]\+([0-9a-fA-F]{4,6})\b[ ,]?"
)
_QUOTED_LETTER: Final = re.compile(r"=[4-7][0-9A-Fa-f]")
_QUOTED: Final = re.compile(r"(?:=[0-9A-Fa-f]{2})+|=\r?\n")
_ENTITY: Final = re.compile(r"&(?:amp;){0,3}#(?:[0-9]{1,8}|[xX][0-9a-fA-F]{1,8});?")
_ANY_ENTITY: Final = re.compile(r"&(?:amp;){0,3}(?:#(?:[0-9]{1,8}|[xX][0-9a-fA-F]{1,8});?|[A-Za-z]{2,8};)")


def escapes(text: str) -> Iterator[Segment]:
    r"""Letters written as \u0041, \u{41}, \x41, \101, %u0041, U+0041."""
    if "\\" in text or "%u" in text or "U+" in text or "u+" in text:
        yield from _hidden_letters(text, _ESCAPE, _ESCAPE, _unescape, "escape")


def quoted(text: str) -> Iterator[Segment]:
    """Letters written as =41, as in mail."""
    if "=" in text:
        yield from _hidden_letters(text, _QUOTED_LETTER, _QUOTED, _unquote, "quoted-printable")


def entities(text: str) -> Iterator[Segment]:
    """Letters written as numeric character references, escaped again or not; names are read along with them."""
    if "#" in text and "&" in text:
        yield from _hidden_letters(text, _ENTITY, _ANY_ENTITY, _unentity, "entity")


def _unescape(match: re.Match[str]) -> str:
    code = int(next(group for group in match.groups() if group), 8 if match["octal"] else 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _unquote(match: re.Match[str]) -> str:
    digits = match.group().replace("=", "")
    return "" if digits.isspace() else bytes.fromhex(digits).decode(errors="replace")


def _unentity(match: re.Match[str]) -> str:
    return html.unescape("&" + match.group()[1:].replace("amp;", ""))


def _hidden_letters(
    text: str,
    pattern: re.Pattern[str],
    every: re.Pattern[str],
    read: Callable[[re.Match[str]], str],
    kind: str,
) -> Iterator[Segment]:
    """Runs of neighbouring escapes that hide at least four letters, with the words they stand in."""
    done, first, last, letters = 0, -1, -1, 0
    for match in [*pattern.finditer(text), None]:
        if match is None or (first >= 0 and match.start() - last > _REACH):
            if letters >= 4:
                start, end = _left(text, first, done, ""), _right(text, last)
                yield Segment(start, end, _paired(every.sub(read, text[start:end])), kind, 1)
                done = end
            first, letters = -1, 0
        if match is not None and match.start() >= done:
            first = match.start() if first < 0 else first
            last = match.end()
            letters += read(match).isalpha()


def _right(text: str, end: int) -> int:
    ceiling = min(len(text), end + _REACH)
    while end < ceiling and not text[end].isspace():
        end += 1
    return end


def _paired(text: str) -> str:
    """Surrogates that were written one by one become the characters that they mean."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
