"""What of a user's text may stand in a report: masked, and only in words that many texts share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

LONGEST_WORD: Final = 24
_MASKS: Final = (
    (re.compile(r"\b(?:[a-z][a-z0-9+.-]*://|www\.)\S+", re.IGNORECASE), "[link]"),
    (re.compile(r"\S*@\S*"), "[address]"),
    (re.compile(r"[+(]?\d[\d\s.,:/()+-]*\d(?![^\W_])|\b\d\b"), "[number]"),
    (re.compile(r"\S*\d\S*"), "[code]"),
    (re.compile(rf"[^\s\[\]]{{{LONGEST_WORD + 1},}}"), "[code]"),
)
_WORD: Final = re.compile(r"\[(?:link|address|number|code)\]|[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"


def masked(text: str) -> str:
    """The text on one line with links, e-mail addresses, numbers, codes and very long words masked."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line


def words(text: str) -> list[str]:
    """The words of a text after masking, lower case; masks are words too."""
    return [word.lower() for word in _WORD.findall(masked(text))]


def shared_words(texts: Iterable[str], least: int) -> Counter[str]:
    """In how many different texts each word stands, for the words that stand in `least` or more."""
    counts = Counter(word for text in set(texts) for word in set(words(text)))
    return Counter({word: count for word, count in counts.items() if count >= least})


def redacted(text: str, shared: Collection[str], longest: int = 160) -> str:
    """The text in its shared words alone, others as an ellipsis, cut to `longest` characters.

    A name, a place or a secret that one person wrote is in no other text of the group, whatever it looks like.
    """
    kept: list[str] = []
    for word in _WORD.findall(masked(text)):
        shown = word if word.lower() in shared else _ELLIPSIS
        if shown != _ELLIPSIS or kept[-1:] != [_ELLIPSIS]:
            kept.append(shown)
    line = " ".join(kept)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + _ELLIPSIS
