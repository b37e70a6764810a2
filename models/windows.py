"""A text as token windows, all of it: nothing is truncated and no word hides behind an unknown token."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Regex, Tokenizer, pre_tokenizers

from data.schema import Span
from models.normalize import View

# WordPiece turns a word of more than 100 characters, or one with a single unknown character, into one [UNK], which
# would hide the word from the model. So words are cut where Latin letters meet anything else, and every 64 characters.
_PIECES: Final = r"[\p{Latin}\p{N}\p{M}]{1,64}|[^\p{Latin}\p{N}\p{M}\s]{1,64}"


class TokenizerError(Exception):
    """A tokenizer.json that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the model: `ids` is int64 [T] with both special tokens, `span` what it covers of the caller's text."""

    ids: npt.NDArray[np.int64]
    span: Span
    view: str


class Cut(NamedTuple):
    """A view in windows, its length in tokens without special ones, and the words in it that are [UNK] to the model."""

    windows: tuple[Window, ...]
    tokens: int
    unknown: str


@dataclass(frozen=True, slots=True)
class Windower:
    """Cuts views into windows of at most `max_length` tokens, a new one every `stride` tokens."""

    tokenizer: Tokenizer
    max_length: int
    stride: int
    start_id: int
    end_id: int
    pad_id: int
    unknown_id: int

    @classmethod
    def load(cls, definition: bytes, *, max_length: int, stride: int) -> Windower:
        """From the text of a tokenizer.json. Raises TokenizerError where it lacks what BERT-like models need."""
        tokenizer = load_tokenizer(definition)
        specials = (_special(tokenizer, token) for token in ("[CLS]", "[SEP]", "[PAD]", "[UNK]"))
        return cls(tokenizer, max_length, stride, *specials)

    def windows(self, view: View) -> Cut:
        """The windows of one view.

        A text without tokens has one window of just the special tokens. In a view with `differences`, windows that
        hold none of them are left out: the main view has shown them already.
        """
        # Tokenizer.encode would hold the interpreter lock, for which the threads that run the model wait.
        encoding = self.tokenizer.encode_batch([view.text], add_special_tokens=False)[0]
        ids = np.asarray(encoding.ids, dtype=np.int64)
        windows = []
        for start, end in self.bounds(len(ids)):
            span = _span(encoding, view, start, end)
            if view.differences is None or _holds(span, view.differences):
                content = np.concatenate(([self.start_id], ids[start:end], [self.end_id]))
                windows.append(Window(content, span, view.name))
        return Cut(tuple(windows), len(ids), _words(encoding, view, np.flatnonzero(ids == self.unknown_id)))

    def bounds(self, tokens: int) -> list[tuple[int, int]]:
        """Start and end of each window in tokens; the last is moved back so that it is full."""
        room = self.max_length - 2
        if tokens <= room:
            return [(0, tokens)]
        starts = list(range(0, tokens - room, self.stride))
        return [(start, start + room) for start in [*starts, tokens - room]]


def load_tokenizer(definition: bytes) -> Tokenizer:
    """A tokenizer without truncation or padding that cuts long and mixed words; raises TokenizerError.

    Training should tokenise through this too, so that a model learns what it will be shown.
    """
    try:
        tokenizer = Tokenizer.from_buffer(definition)
    except Exception as error:  # the Rust side raises nothing narrower
        raise TokenizerError(f"not a tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # "[SEP]" in a text is five characters that somebody wrote; it must not speak to the model as the real one.
    tokenizer.encode_special_tokens = True
    cut = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    first = tokenizer.pre_tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, cut] if first else [cut])
    return tokenizer


def _special(tokenizer: Tokenizer, token: str) -> int:
    if (number := tokenizer.token_to_id(token)) is None:
        raise TokenizerError(f"the vocabulary lacks {token}")
    return number


def _words(encoding: Encoding, view: View, tokens: npt.NDArray[np.intp]) -> str:
    """What stands in the view where these tokens are."""
    places = [encoding.token_to_chars(token) or (0, 0) for token in tokens.tolist()]
    return "".join(view.text[start:end] for start, end in places)


def _span(encoding: Encoding, view: View, start: int, end: int) -> Span:
    if start == end:
        return Span(0, 0)
    # The index is in range, so these are never None; `offsets` would build a list for the whole text.
    first = encoding.token_to_chars(start) or (0, 0)
    last = encoding.token_to_chars(end - 1) or (0, 1)
    return Span(view.source_offset(first[0]), view.source_offset(last[1] - 1) + 1)


def _holds(span: Span, positions: Sequence[int]) -> bool:
    """Whether one of the ascending `positions` lies in the span."""
    index = bisect_left(positions, span.start)
    return index < len(positions) and positions[index] < span.end
