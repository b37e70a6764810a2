"""Rewriting a text while remembering where every character came from.

Only replacements that change the length are recorded, so an unchanged text costs nothing and looking up an offset
is a binary search.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Alignment:
    """Maps offsets of a rewritten text to offsets of the text it was made from.

    Piece k starts at `starts[k]` of the new text and at `sources[k]` of the old one, and maps to `lasts[k]` at most.
    """

    starts: array[int] = field(default_factory=lambda: array("q", [0]))
    sources: array[int] = field(default_factory=lambda: array("q", [0]))
    lasts: array[int] = field(default_factory=lambda: array("q", [2**62]))

    def record(self, start: int, source: int, last: int = 2**62) -> None:
        """Begin a piece; pieces come in ascending order."""
        self.starts.append(start)
        self.sources.append(source)
        self.lasts.append(last)

    def source_offset(self, index: int) -> int:
        """Where the character at `index` of the new text came from."""
        piece = bisect_right(self.starts, index) - 1
        return min(self.sources[piece] + index - self.starts[piece], self.lasts[piece])


def rewrite(text: str, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str]) -> tuple[str, Alignment]:
    """`pattern.sub(replace, text)` with the alignment of its answer; linear in the length of both."""
    alignment = Alignment()
    pieces: list[str] = []
    read = written = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        replacement = replace(match)
        pieces += (text[read:start], replacement)
        written += start - read
        if len(replacement) != end - start:
            alignment.record(written, start, end - 1)
            alignment.record(written + len(replacement), end)
        written += len(replacement)
        read = end
    pieces.append(text[read:])
    return "".join(pieces), alignment
