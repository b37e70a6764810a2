"""Spaced-out letters: single letters with something between them, put together to words again."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from models.decode_ciphers import LEET, ONES, alike, known, plain
from models.decode_transports import Segment
from models.decode_words import words

# Whatever stands between them is a joint: spaces, signs, emoji, letters of other scripts.
_SPACED: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[^A-Za-z0-9]{1,12}[A-Za-z0-9]){5,}(?![A-Za-z0-9])")
_JOINT: Final = re.compile(r"[^A-Za-z0-9]+")
# A letter or digit as the joint, the same one throughout: i1g1n1o1r1e a1l1l.
_INTERLEAVED: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z](?P<joint>[A-Za-z0-9])(?:[A-Za-z](?:(?P=joint)(?:[^A-Za-z0-9]{1,3})?|[^A-Za-z0-9]{1,3})){3,}[A-Za-z](?P=joint)?"
    r"(?![A-Za-z0-9])"
)
_REGIONAL: Final = re.compile(
    "[\U0001f1e6-\U0001f1ff](?:[^A-Za-z0-9\U0001f1e6-\U0001f1ff]{0,4}[\U0001f1e6-\U0001f1ff]){4,}"
)
_INDICATORS: Final = {0x1F1E6 + place: chr(ord("a") + place) for place in range(26)}
_PIECE: Final = re.compile(r"[A-Za-z0-9]+")
_SIGNS: Final = frozenset(".,;:!?'\"()@/&%$#+=<>[]{}-_")
_MOST_SIGNS: Final = 2  # between two words; more would drown them
_MOST_IN_WORD: Final = 3  # https://
_SPACES: Final = re.compile(r"\s+")
_REGULAR: Final = 0.5  # where most joints are the same, others are what was between the words
_LEAST_UNDERSTOOD: Final = 5
_LEAST_INTERLEAVED: Final = 4  # "int, int, int" is no "it it it"
_LONGEST_WORD: Final = 14
_LONGEST_RUN: Final = 4_000


def spaced(text: str) -> Iterator[Segment]:
    """Single letters with the same joint between them; a wider or other joint parts two words."""
    for match in _SPACED.finditer(text):
        for start in range(match.start(), match.end(), _LONGEST_RUN):
            code = text[start : min(match.end(), start + _LONGEST_RUN)]
            if spelt := _joined(code):
                yield Segment(start, start + len(code), spelt, "spacing")


def interleaved(text: str) -> Iterator[Segment]:
    """Words with the same letter or digit after every letter of theirs."""
    for match in _INTERLEAVED.finditer(text):
        parts = [piece[::2] for piece in _PIECE.findall(match.group())]
        if max(map(len, parts)) >= _LEAST_INTERLEAVED and (spelt := _spelt(parts)):
            yield Segment(*match.span(), spelt, "spacing")


def regional(text: str) -> Iterator[Segment]:
    """Words in regional indicators, which show as letters in boxes; a row of flags spells no word of four letters."""
    for match in _REGIONAL.finditer(text):
        code = match.group().translate(_INDICATORS)
        parts = _PIECE.findall(code)
        spelt = _spelt(parts) if max(map(len, parts)) > 1 else _joined(code)
        if any(len(word) >= _LEAST_INTERLEAVED and word.lower() in words() for word in _PIECE.findall(spelt)):
            yield Segment(*match.span(), spelt, "regional")


def _joined(code: str) -> str:
    """The words that spaced-out letters spell; empty if too few of them are words."""
    letters, first = _JOINT.sub("", code), _JOINT.match(code) is not None
    joints = _JOINT.findall(code)[first : first + len(letters) - 1]
    if not joints:
        return ""
    joint, often = max(sorted(Counter(joints).items()), key=lambda item: item[1])
    cuts = [(i + 1, other) for i, other in enumerate(joints) if other != joint]
    parts = [letters[low:high] for low, high in itertools.pairwise([0, *(at for at, _ in cuts), len(letters)])]
    regular = often >= len(joints) * _REGULAR
    return _spelt(parts, _unlike([_gap(other, joint) if regular else " " for _, other in cuts]))


def _unlike(gaps: Sequence[str]) -> list[str]:
    """The gaps, with a space for the one that stands between most words: signs there part words and say nothing."""
    usual, often = Counter(gaps).most_common(1)[0] if gaps else ("", 0)
    parting = often > max(2, len(gaps) / 2)  # one comma between two words is a comma
    return [" " if parting and gap == usual else gap for gap in gaps]


def _gap(other: str, joint: str) -> str:
    """What stands between two words where letters are joined by `joint`: a space, or a sign or two, or both.

    Signs are joined as letters are. Those with a joint on both sides and no more are a word's: u s e r ' s.
    """
    size = len(joint)
    inner = other[size:-size] if other.startswith(joint) and other.endswith(joint) else ""
    signs = inner[:: size + 1]
    if signs and len(signs) <= _MOST_IN_WORD and inner == joint.join(signs) and _SIGNS.issuperset(signs):
        return signs
    widest = max(_SPACES.findall(other), key=len, default="")
    before, _, after = other.partition(widest) if widest else (other, "", "")
    if widest and not _SPACES.search(joint):
        before = "" if len(before) % (size + 1) else before[size :: size + 1]
        after = "" if len(after) % (size + 1) else after[:: size + 1]
    else:
        before, after = before.replace(joint, ""), after.replace(joint, "")
    closing, opening = _only_signs(before), _only_signs(after)
    return f"{closing} {opening}" if len(closing) + len(opening) <= _MOST_SIGNS else " "


def _only_signs(found: str) -> str:
    return "".join(sign for sign in found if sign in _SIGNS)


def _spelt(parts: Sequence[str], gaps: Sequence[str] = ()) -> str:
    """The words that runs of letters are, with `gaps` between them; empty if too few of them are words."""
    # Where gaps show the words, an unknown one stays whole.
    spelt = [[plain(part)] if _is_whole(part, parts) else _cut(part) for part in parts]
    understood = sum(len(word) for found in spelt for word in found if len(word) > 1 and word.lower() in words())
    needed = 0.6 if len(parts) < 3 else 0.25
    if understood < max(_LEAST_UNDERSTOOD, sum(map(len, parts)) * needed):
        return ""
    joined = (
        f"{' '.join(found)}{gap}"
        for found, gap in itertools.zip_longest(spelt, gaps or " " * (len(parts) - 1), fillvalue="")
    )
    return "".join(joined)


def _is_whole(part: str, parts: Sequence[str]) -> bool:
    return known(part) is not None or (len(parts) > 2 and len(part) <= _LONGEST_WORD)


def _cut(letters: str) -> list[str]:
    """Letters without spaces as the fewest unknown letters and then the fewest words; time is linear."""
    lowered = letters.lower().translate(LEET)
    folded = lowered.translate(ONES)
    least, back = [0] + [9 * len(lowered) + 9] * len(lowered), [1] * (len(lowered) + 1)
    for start in range(len(lowered)):
        if least[start] + 9 < least[start + 1]:
            least[start + 1], back[start + 1] = least[start] + 9, 1
        for size in _word_sizes(lowered, folded, start):
            price = least[start] + 2 + (size == 2)
            if price <= least[start + size]:
                least[start + size], back[start + size] = price, size
    return _pieces(lowered, back)


def _word_sizes(lowered: str, folded: str, start: int) -> Iterator[int]:
    """The lengths of the words that begin at `start`; looks no further than some word goes on."""
    beginnings, common = _beginnings(), alike()
    for size in range(1, min(_LONGEST_WORD, len(folded) - start) + 1):
        piece = folded[start : start + size]
        if piece not in beginnings:
            return
        if piece in common and known(lowered[start : start + size]) is not None:
            yield size


@functools.cache
def _beginnings() -> frozenset[str]:
    return frozenset(word[:size] for word in alike() for size in range(1, len(word) + 1))


def _pieces(lowered: str, back: Sequence[int]) -> list[str]:
    """The words, and the unknown letters between two words as one piece."""
    pieces: list[str] = []
    unknown: list[str] = []
    end = len(lowered)
    while end > 0:
        piece = lowered[end - back[end] : end]
        if (word := known(piece)) is None:
            unknown.append(piece)
        else:
            pieces += ["".join(reversed(unknown)), word] if unknown else [word]
            unknown = []
        end -= len(piece)
    return [*(["".join(reversed(unknown))] if unknown else []), *reversed(pieces)]
