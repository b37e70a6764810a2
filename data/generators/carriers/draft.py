"""A carrier before anything is planted in it: one text with numbered places."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_MARK = re.compile("\ue000(\\d+)\ue001")

Escape = Callable[[str], str]


def plain(text: str) -> str:
    """No escaping at all."""
    return text


def one_line(text: str) -> str:
    """Line breaks become spaces: for logs, CSV cells and other one-line fields."""
    return " ".join(text.split())


def json_string(text: str) -> str:
    """The inside of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def html_text(text: str) -> str:
    """HTML or XML character data."""
    return html.escape(text, quote=False)


def csv_cell(text: str) -> str:
    """The inside of a quoted CSV cell."""
    return one_line(text).replace('"', '""')


def table_cell(text: str) -> str:
    """A cell of a Markdown table."""
    return one_line(text).replace("|", "\\|")


def commented(prefix: str) -> Escape:
    """Further lines of a text that stands in a code comment get the comment's prefix."""
    return lambda text: text.replace("\n", f"\n{prefix}")


@dataclass(frozen=True)
class Slot:
    """One place where a text can be planted; `placement` is start, middle, end, field, attribute or footnote."""

    placement: str
    prefix: str = ""
    suffix: str = ""
    escape: Escape = plain


@dataclass
class Draft:
    """A carrier's text, built by its function; `mark` sets a place, `fill` plants a text in one of them."""

    kind: str
    text: str = ""
    slots: list[Slot] = field(default_factory=list)

    def mark(self, placement: str, prefix: str = "", suffix: str = "", escape: Escape = plain) -> str:
        """A new place; put the returned mark into the text. Unfilled, it leaves nothing behind."""
        self.slots.append(Slot(placement, prefix, suffix, escape))
        return f"\ue000{len(self.slots) - 1}\ue001"

    def places(self) -> list[int]:
        """Numbers of the places that the text really holds; a carrier may set a mark and leave it out."""
        return sorted(int(number) for number in _MARK.findall(self.text))

    def fill(self, chosen: int, text: str) -> str:
        """The carrier with `text` at place number `chosen` and nothing at the others."""

        def render(match: re.Match[str]) -> str:
            slot = self.slots[int(match[1])]
            return slot.prefix + slot.escape(text) + slot.suffix if int(match[1]) == chosen else ""

        return _MARK.sub(render, self.text).strip()

    def clean(self) -> str:
        """The carrier with nothing planted."""
        return _MARK.sub("", self.text).strip()


def between(draft: Draft, paragraphs: list[str], rng: random.Random, joint: str = "\n\n") -> str:
    """Join paragraphs with a place before, between and behind them, and one inside a paragraph."""
    inner = rng.randrange(len(paragraphs))
    words = paragraphs[inner].split(". ")
    cut = rng.randint(1, len(words)) if len(words) > 1 else 1
    head, tail = ". ".join(words[:cut]), ". ".join(words[cut:])
    lead = head if not tail else head + "."
    paragraphs = [*paragraphs]
    paragraphs[inner] = lead + draft.mark("middle", prefix=" ") + (" " + tail if tail else "")
    middle = len(paragraphs) // 2
    pieces = [draft.mark("start", suffix=joint)]
    for number, paragraph in enumerate(paragraphs):
        if number == middle and number > 0:
            pieces.append(draft.mark("middle", suffix=joint))
        pieces += [paragraph, joint if number < len(paragraphs) - 1 else ""]
    pieces.append(draft.mark("end", prefix=joint if rng.random() < 0.7 else " "))
    return "".join(pieces)
