"""What the model reads instead of the raw text, so that spelling tricks which a person does not see do not work.

Each reading of a text is a View that maps back to the caller's own text. Genuine text in any script stays as it is;
an ASCII text without control characters and without encoded parts is its own only view and costs next to nothing.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.alignment import Alignment, rewrite
from models.confusables import fold_confusables
from models.decode import Segment, decode, may_be_encoded, unescape
from models.decode_text import is_prose, readable
from models.invisible import INVISIBLE, SUSPECT

MAIN: Final = "main"
ALTERNATE: Final = "alternate"
DECODED: Final = "decoded"
VIEWS: Final = (MAIN, ALTERNATE, DECODED)


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text.

    `differences` are ascending positions in the original text where this view says something that the main one does
    not; None means everywhere.
    """

    text: str
    name: str
    alignments: tuple[Alignment, ...] = ()
    differences: Sequence[int] | None = None

    def source_offset(self, index: int) -> int:
        """The position in the original text of the character at `index` of this view."""
        for alignment in reversed(self.alignments):
            index = alignment.source_offset(index)
        return index


@dataclass(frozen=True, slots=True)
class Normalized:
    """Every view of a text, the main one first, and how many characters were changed, by the name of the change."""

    views: tuple[View, ...]
    changes: Mapping[str, int]


def normalize(text: str) -> Normalized:
    """The views of a text; linear in its length and safe for any str, lone surrogates included.

    In the main view zero-width characters vanish and control characters are spaces. Where such a character joins or
    parts two words, the alternate view reads it the other way round. Escapes and character references are letters
    written otherwise, and the main view shows the letters; nothing is lost by that. What other encodings hide is read
    in the decoded view, with some of the text round it, and the main view keeps the code: a decoder that errs, or is
    led astray by words beside a code, must not hide what is there to be read.
    """
    changes: Counter[str] = Counter()
    if text.isascii() and not _ASCII_CONTROL.search(text):
        views = [View(text, MAIN)]
    else:
        joints: list[int] = []
        views = [_main_view(text, changes, joints)]
        if joints:
            views.append(_alternate_view(text, joints))
    if may_be_encoded(views[0].text):
        if segments := unescape(views[0].text, _cleaned):
            views[0] = _read_in_place(views[0], segments, MAIN, context=len(views[0].text))
            _count(changes, segments)
        if segments := decode(views[0].text, _cleaned):
            views.append(_read_in_place(views[0], segments, DECODED, context=_CONTEXT))
            _count(changes, segments)
    return Normalized(tuple(views), dict(changes))


def _count(changes: Counter[str], segments: Sequence[Segment]) -> None:
    for segment in segments:
        changes[segment.kind] += segment.end - segment.start


_ASCII_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_JOINTS: Final = frozenset({"control", "variation", "zero_width", "smuggled"})

_MARK: Final = r"[\u0300-\u036f\u1ab0-\u1abd\u1abf-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\u20e1\u20e5-\u20ff\ufe20-\ufe2f]"
# At most two accents stay on a letter. What encloses a letter (category Me: a circle, a keycap, the Cyrillic signs for
# thousands and millions) makes an unknown word of it.
_ENCLOSING: Final = r"\u0488\u0489\u1abe\u20dd-\u20e0\u20e2-\u20e4\ua670-\ua672"
_SURPLUS_MARKS: Final = re.compile(rf"(?<={_MARK}{_MARK}){_MARK}+|[{_ENCLOSING}]+")
_MARKED: Final = re.compile(rf"{_MARK}{{3}}|[{_ENCLOSING}]")
_MARK_PATTERN: Final = re.compile(_MARK)
_LATIN: Final = r"[A-Za-z\u00c0-\u024f\u0300-\u036f\u1e00-\u1eff]"

# NFKC spells some ligatures and squared words out in up to 18 letters; left alone, since a text must not grow so.
_LONGEST_EXPANSION: Final = 4


def _main_view(text: str, changes: Counter[str], joints: list[int]) -> View:
    """The main view; adds to `changes`, and to `joints` where an invisible character stands inside visible text."""

    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup or ""
        if kind == "kept":
            return match.group()
        start, end = match.span()
        changes[kind.replace("_", "-")] += end - start
        if kind in _JOINTS and _inside(text, start, end):
            joints.append(start)
        return _read(kind, match.group())

    if not SUSPECT.search(text):
        return _finished(text, Alignment(), MAIN, None, changes)
    shown, alignment = rewrite(text, INVISIBLE, replace)
    return _finished(shown, alignment, MAIN, None, changes)


def _inside(text: str, start: int, end: int) -> bool:
    """Whether what stands from start to end has something other than space on both sides."""
    return start > 0 and end < len(text) and not (text[start - 1].isspace() or text[end].isspace())


def _alternate_view(text: str, joints: Sequence[int]) -> View:
    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup or ""
        if kind == "kept":
            return match.group()
        if kind in _JOINTS:
            return "" if kind == "control" else " "
        return _read(kind, match.group())

    shown, alignment = rewrite(text, INVISIBLE, replace)
    return _finished(shown, alignment, ALTERNATE, joints, Counter())


def _cleaned(text: str) -> str:
    """Text that comes out of an encoding, normalised as the main view is."""
    if text.isascii() and not _ASCII_CONTROL.search(text):
        return text
    return _main_view(text, Counter(), []).text


_CONTEXT: Final = 200
_EVERY: Final = 16


def _read_in_place(main: View, segments: Sequence[Segment], name: str, *, context: int) -> View:
    """What the segments say, in their place in the main view; of that only `context` characters round a segment."""
    alignment = Alignment()
    pieces: list[str] = []
    written = read = 0

    def copy(start: int, end: int) -> None:
        nonlocal written
        if start < end:
            alignment.record(written, start)
            pieces.append(main.text[start:end])
            written += end - start

    for segment in segments:
        if pieces and segment.start - read > 2 * context:
            copy(read, read + context)
            alignment.record(written, read + context - 1, read + context - 1)
            pieces.append("\n")
            written += 1
            read = segment.start - context
        copy(read if pieces else max(read, segment.start - context), segment.start)
        _spread(alignment, written, segment)
        pieces.append(segment.text)
        written += len(segment.text)
        read = segment.end
    copy(read, min(len(main.text), read + context))
    return View("".join(pieces), name, (*main.alignments, alignment))


def _spread(alignment: Alignment, written: int, segment: Segment) -> None:
    """What a segment says is spread evenly over where it stands; its last character stands for its end."""
    size, length = len(segment.text), segment.end - segment.start
    for index in range(0, size, _EVERY):
        source, following = (segment.start + place * length // size for place in (index, index + _EVERY))
        alignment.record(written + index, source, min(following, segment.end - 1))
    alignment.record(written + size - 1, segment.end - 1, segment.end - 1)


def _smuggled(found: str) -> str:
    """The text whose bytes are written as variation selectors, of which there are 256."""
    return readable(bytes(ord(c) - 0xFE00 if ord(c) < 0xFE10 else ord(c) - 0xE0100 + 16 for c in found), least=6)


def _read(kind: str, found: str) -> str:
    """What the main view shows for a run of invisible characters: tags become the text that they hide."""
    if kind == "tag":
        return f" {''.join(chr(ord(c) - 0xE0000) for c in found if 0xE0020 <= ord(c) < 0xE007F)} "
    if kind == "surrogate":
        return "\ufffd" * len(found)
    if kind == "smuggled" and is_prose(hidden := _smuggled(found), least=1):
        return f" {hidden} "
    return " " if kind == "control" else ""


def _finished(
    text: str, alignment: Alignment, name: str, differences: Sequence[int] | None, changes: Counter[str]
) -> View:
    """The steps that every view goes through once the invisible characters are dealt with."""
    alignments = [alignment]
    if not unicodedata.is_normalized("NFKC", text):
        text, alignment = _compatible(text, changes)
        alignments.append(alignment)
    if _MARKED.search(text):
        text, alignment = rewrite(text, _SURPLUS_MARKS, lambda match: _drop(match, changes))
        alignments.append(alignment)
    if misplaced := _misplaced_marks(text):
        text, alignment = rewrite(text, misplaced, lambda match: _drop(match, changes))
        alignments.append(alignment)
    text, folded = fold_confusables(text)
    if folded:
        changes["confusable"] += folded
    return View(text, name, tuple(alignments), differences)


def _compatible(text: str, changes: Counter[str]) -> tuple[str, Alignment]:
    """NFKC of each code point by itself, so that every character keeps a place in the original."""
    letters = sorted(c for c in set(text) if not c.isascii())
    forms = {c: unicodedata.normalize("NFKC", c) for c in letters}
    forms = {c: form for c, form in forms.items() if form != c and len(form) <= _LONGEST_EXPANSION}
    if not forms:
        return text, Alignment()
    pattern = re.compile(_class(letters, forms.__contains__))

    def replace(match: re.Match[str]) -> str:
        changes["compatibility"] += 1
        return forms[match.group()]

    return rewrite(text, pattern, replace)


def _class(letters: Sequence[str], wanted: Callable[[str], bool]) -> str:
    """A class of those of a text's ascending letters that are wanted.

    As ranges over whatever the text does not hold: a class of 2,000 single letters is searched one by one.
    """
    runs = [tuple(run) for chosen, run in itertools.groupby(letters, wanted) if chosen]
    return f"[{''.join(f'{run[0]}-{run[-1]}' for run in runs)}]"


def _misplaced_marks(text: str) -> re.Pattern[str] | None:
    """Finds marks of other scripts on Latin letters, which no language spells; None if the text holds no such mark."""
    if text.isascii():
        return None
    letters = sorted(c for c in set(text) if not c.isascii())
    marks = {c for c in letters if unicodedata.category(c)[0] == "M" and not _MARK_PATTERN.match(c)}
    return re.compile(f"(?<={_LATIN}){_class(letters, marks.__contains__)}+") if marks else None


def _drop(match: re.Match[str], changes: Counter[str]) -> str:
    changes["combining"] += len(match.group())
    return ""
