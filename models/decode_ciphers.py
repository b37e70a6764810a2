"""Spellings that only their words give away: ROT13, reversed text, leetspeak.

A run of words is deciphered when common English words come of it and the run itself holds none. Every finder yields
segments in ascending order and looks at each word once.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from models.decode_transports import Segment
from models.decode_words import words

_WORD: Final = re.compile(r"[A-Za-z]+(?:['\u2019][A-Za-z]+)?")
# How far the gain of a run may fall below its best before the run ends there.
_SLACK: Final = 24
_LEAST_GAIN: Final = 18
_LEAST_WORDS: Final = 2
_LONG_WORD: Final = 8
_FLOWING: Final = re.compile(r"[ ,']{1,3}")


@functools.cache
def _rotated() -> frozenset[str]:
    return frozenset(codecs.encode(word, "rot13") for word in words() if len(word) > 1) - words()


@functools.cache
def _reversed() -> frozenset[str]:
    return frozenset(word[::-1] for word in words() if len(word) > 1) - words()


@functools.cache
def marks() -> frozenset[str]:
    """The words that make a text worth looking at for ROT13 and reversal, in lower case."""
    return _rotated() | _reversed()


def rot13(text: str) -> Iterator[Segment]:
    """Runs of words that are English once rotated."""
    for start, end in _runs(_WORD.finditer(text), functools.partial(_gain, _rotated())):
        yield Segment(start, end, codecs.encode(text[start:end], "rot13"), "rot13")


def backwards(text: str) -> Iterator[Segment]:
    """Runs of words that are English read from right to left."""
    for start, end in _runs(_WORD.finditer(text), functools.partial(_gain, _reversed())):
        yield Segment(start, end, _forwards(text[start:end]), "reversed")


# Of these pairs English has the first word before the second far more often than after it.
_BEFORE: Final = frozenset(
    {"of", "to", "in", "for", "on", "with", "from", "at", "by", "and", "is", "as", "all", "do", "reveal"}
)
_AFTER: Final = frozenset(
    {"the", "a", "an", "your", "my", "this", "these", "it", "you", "me", "us", "our", "his", "her"}
)


def _forwards(text: str) -> str:
    """Reversed text the right way round, be it reversed as a whole or word by word."""
    whole = text[::-1]
    order = [word.lower() for word in _WORD.findall(whole)]
    pairs = list(itertools.pairwise(order))
    usual = sum(first in _BEFORE and second in _AFTER for first, second in pairs)
    unusual = sum(first in _AFTER and second in _BEFORE for first, second in pairs)
    return _WORD.sub(lambda word: word.group()[::-1], text) if unusual > usual else whole


def _gain(disguised: frozenset[str], word: str) -> int:
    word = word.lower()
    if word in disguised:
        return 2 * len(word)
    return -2 * len(word) - 2 if len(word) > 1 and word in words() else 0


def _runs(found: Iterable[re.Match[str]], gain: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    """Start and end of runs whose gain is enough; words without gain or loss at their borders are taken in."""
    start = end = before = hits = total = best = longest = 0
    lead = -1
    for word in found:
        change = gain(word.group())
        if change < 0:
            lead = -1
        elif lead < 0 or not _FLOWING.fullmatch(word.string, before, word.start()):
            lead = word.start()
        before = word.end()
        if total <= 0 and change > 0:
            start, total, best, hits, longest = lead, 0, 0, 0, 0
        if change > 0:
            hits, longest = hits + (change > 2), max(longest, change)
        total += change
        if total > 0 and total >= best:
            best, end = total, word.end()
        elif best and (total <= 0 or total < best - _SLACK):
            if best >= _LEAST_GAIN and hits >= _LEAST_WORDS and longest >= _LONG_WORD:
                yield start, end
            total = best = 0
    if best >= _LEAST_GAIN and hits >= _LEAST_WORDS and longest >= _LONG_WORD:
        yield start, end


LEET: Final = str.maketrans("0345789@$|!+", "oeastbgasiit")
ONES: Final = str.maketrans("il", "11")
_LEET_WORD: Final = re.compile(r"[A-Za-z0-9@$|!+]+")
_SIGNS: Final = frozenset("01345789@$|!+")
_ORDINAL: Final = re.compile(r"[0-9]{1,9}(?:st|nd|rd|th)")
_ONE_AS_L: Final = re.compile(r"1(?=1|[ey]|$)|(?<=1)1")


def leetspeak(text: str) -> Iterator[Segment]:
    """Runs of words that are English once digits are read as the letters they look like."""
    for start, end in _runs(_LEET_WORD.finditer(text), _leet_gain):
        yield Segment(start, end, _LEET_WORD.sub(lambda word: plain(word.group()), text[start:end]), "leet")


def _leet_gain(word: str) -> int:
    if word.isalpha():
        return -1
    core = word.rstrip("!")
    if not _SIGNS.isdisjoint(core) and any(map(str.isalpha, core)) and len(core) > 1:
        if known(core) is not None:
            return 2 * len(core)
        return 0 if core[0].isalpha() else -4
    return 2 if known(core) is not None else -4


def plain(word: str) -> str:
    """A word without leetspeak, or as it is."""
    if word.isalpha() or _SIGNS.isdisjoint(word):
        return word
    core = word.rstrip("!")
    if (found := known(core)) is not None:
        return found + word[len(core) :]
    if not any(map(str.isalpha, core)) or len(core) < 3:
        return word
    if _ORDINAL.fullmatch(core):
        return word
    return _ONE_AS_L.sub("l", core.translate(LEET)).replace("1", "i") + word[len(core) :]


def known(word: str) -> str | None:
    """The common word that a word in leetspeak means; a 1 is an i or an l."""
    folded = word.lower().translate(LEET)
    if "1" not in folded:
        return folded if folded in words() else None
    return next((spelt for spelt in alike().get(folded.translate(ONES), ()) if _may_spell(folded, spelt)), None)


@functools.cache
def alike() -> Mapping[str, Sequence[str]]:
    """The common words in alphabetical order, by what they are with a 1 for every i and l."""
    found: dict[str, list[str]] = {}
    for word in sorted(words()):
        found.setdefault(word.translate(ONES), []).append(word)
    return found


def _may_spell(folded: str, spelt: str) -> bool:
    return all(one in (other, "1") for one, other in zip(folded, spelt, strict=True))
