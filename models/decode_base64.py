"""Bytes written in 64 or 32 letters, whole, in lines, in pieces and word by word."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Final

from models.decode_transports import Reader, Segment
from models.decode_words import words

# A further line belongs to the code only if nothing but code stands on it.
_BASE64: Final = re.compile(
    r"[A-Za-z0-9+/_-]{16,}(?:(?:\r?\n|\\n)[ \t]*[A-Za-z0-9+/_-]{4,}(?=={0,2}[ \t]*(?:[\r\n\\\"'<)]|\Z)))*={0,2}"
)
_LINE: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_NO_CODE: Final = re.compile(r"\\n|\s+|=")
_URL_SAFE: Final = str.maketrans("-_", "+/")


def base64_text(text: str, readable: Reader) -> Iterator[Segment]:
    """Standard and URL-safe base64, with or without padding and line breaks."""
    for match in _BASE64.finditer(text):
        start, end = match.span()
        whole = _NO_CODE.sub("", match.group())
        if decoded := readable(_unbase(whole)):
            yield Segment(start, end, decoded, "base64")
        elif len(whole) < end - start - 2:
            for line in _LINE.finditer(text, start, end):
                if decoded := readable(_unbase(line.group().rstrip("="))):
                    yield Segment(*line.span(), decoded, "base64")


def _unbase(code: str) -> bytes:
    code = code[: len(code) - (len(code) % 4 == 1)]
    return base64.b64decode(code.translate(_URL_SAFE) + "=" * (-len(code) % 4))


_BASE32: Final = re.compile(r"(?<![A-Za-z0-9+/])(?:[A-Z2-7]{16,}|[a-z2-7]{16,})={0,6}(?![A-Za-z0-9+/])")


def base32_text(text: str, readable: Reader) -> Iterator[Segment]:
    """Base32 in capitals or small letters, with or without padding."""
    for match in _BASE32.finditer(text):
        code = match.group().rstrip("=").upper()
        code = code[: len(code) - (len(code) % 8 in (1, 3, 6))]
        if decoded := readable(base64.b32decode(code + "=" * (-len(code) % 8))):
            yield Segment(*match.span(), decoded, "base32")


_TOKEN: Final = re.compile(r"[A-Za-z0-9+/_-]{2,}={0,2}")
# Small and capital letters or digits as they stand in a code and hardly in a word.
_CODED: Final = re.compile(r"[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z]|=$")
_LEAST_PIECES: Final = 3
_LEAST_CODE: Final = 16


def base64_pieces(text: str, readable: Reader) -> Iterator[Segment]:
    """Base64 with spaces or line breaks anywhere in it, or of every word by itself."""
    run: list[re.Match[str]] = []
    for token in [*_TOKEN.finditer(text), None]:
        if token and (not run or _adjoins(run[-1], token)) and _belongs(token.group(), run):
            run.append(token)
            continue
        yield from _from_pieces(run, readable)
        run = [token] if token else []
    yield from _from_pieces(run, readable)


def _adjoins(before: re.Match[str], token: re.Match[str]) -> bool:
    gap = before.string[before.end() : min(token.start(), before.end() + 9)]
    return gap.isspace() and len(gap) < 9


def _belongs(token: str, run: Sequence[re.Match[str]]) -> bool:
    return not run or len(token) % 4 == 0 or len(token) == len(run[-1].group()) or _CODED.search(token) is not None


def _from_pieces(run: list[re.Match[str]], readable: Reader) -> Iterator[Segment]:
    """What the tokens say together; tokens at either end may be words that stand beside the code."""
    while run and run[-1].group().lower() in words():
        run.pop()
    for skipped in range(_LEAST_PIECES):
        tokens = [token.group() for token in run[skipped:]]
        if len(tokens) < _LEAST_PIECES or sum(map(len, tokens)) < _LEAST_CODE or not any(map(_CODED.search, tokens)):
            return
        if decoded := _word_by_word(tokens, readable) or _together(tokens, readable):
            yield Segment(run[skipped].start(), run[-1].end(), decoded, "base64")
            return
        if _CODED.search(tokens[0]):
            return


def _together(tokens: Sequence[str], readable: Reader) -> str:
    """One code in several tokens; several codes would make text only at the beginning."""
    data = _unbase("".join(tokens).replace("=", ""))
    decoded = readable(data)
    return decoded if len(decoded.encode()) * 5 >= len(data) * 4 or data.count(0) * 3 > len(data) else ""


def _word_by_word(tokens: Sequence[str], readable: Reader) -> str:
    """Several codes, one in each token."""
    if any(len(token) % 4 for token in tokens) or not any("=" in token for token in tokens[:-1]):
        return ""
    return readable(b" ".join(_unbase(token.rstrip("=")) for token in tokens))
