"""MultiJail (Deng et al. 2024): 315 harmful requests, each in ten languages, one after another in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from data.schema import Example

LANGUAGES = ("en", "zh", "it", "vi", "ar", "ko", "th", "bn", "sw", "jv")


def with_groups(examples: Iterable[Example]) -> Iterator[Example]:
    """The translations of one request as a group: a request ends where the order of languages begins anew."""
    request, before = 0, len(LANGUAGES)
    for example in examples:
        place = LANGUAGES.index(example.labels["lang"])
        request += place <= before
        before = place
        yield replace(example, group=f"{example.source}:{request}")
