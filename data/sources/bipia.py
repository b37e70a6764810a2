"""BIPIA (Yi et al. 2023): instructions hidden in e-mails, tables and code that an assistant is asked about.

The same context stands in the corpus with many payloads and once without: the context is the group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from data.schema import Example


def with_groups(examples: Iterable[Example]) -> Iterator[Example]:
    """Each row with its context as the group: the text without the payload and without white space."""
    for example in examples:
        payload = "".join(str(example.labels.get("payload") or "").split())
        bare = "".join(example.text.split())
        context = bare.replace(payload, "", 1) if payload else bare
        yield replace(example, group=f"{example.source}:{hashlib.sha256(context.encode()).hexdigest()[:16]}")
