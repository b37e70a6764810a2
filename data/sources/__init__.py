"""Where labelled text comes from: one entry of registry.yaml a corpus, a file here for each with its own home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from data.schema import Category, Example, Kind
from data.sources.mirror import read_rows
from data.sources.registry import PERMISSIVE, Part, Source, registry

__all__ = ["PERMISSIVE", "Part", "Source", "SourceUnavailableError", "load", "mirror_path", "mirror_root", "registry"]


class SourceUnavailableError(Exception):
    """A corpus that cannot be had here: neither in the mirror nor from a public home that answers."""


def load(name: str, part: Part = "train", data_dir: Path | None = None) -> Iterator[Example]:
    """The rows of one corpus: from this project, from the mirror where one is named, or from its public home.

    A corpus that we wrote lies in this project. `data_dir` defaults to WEIR_DATA_DIR. Raises KeyError for an
    unknown name, SourceUnavailableError, with the reason, for a corpus that this way does not lead to, and ValueError
    for a broken line of ours.
    """
    source = registry()[name]
    if part not in source.parts:
        raise SourceUnavailableError(f"{name}: has no {part} rows")
    module, root = _module(source), source.home or mirror_root(data_dir)
    if source.home is not None and (ours := getattr(module, "examples", None)):
        rows = ours(part, source.home)
    elif root is not None:
        rows = read_rows(mirror_path(name, part, root))
    else:
        rows = _from_public_home(source, part)
    yield from getattr(module, "with_groups", iter)(_understood(row, source) for row in rows)


def mirror_root(data_dir: Path | None = None) -> Path | None:
    """The mirror in use: `data_dir`, else WEIR_DATA_DIR, else None."""
    named = os.environ.get("WEIR_DATA_DIR")
    return data_dir or (Path(named) if named else None)


def mirror_path(name: str, part: Part, root: Path) -> Path:
    """The file of one corpus in a mirror; raises SourceUnavailableError where it lacks one."""
    for ending in ("parquet", "jsonl"):
        if (path := root / part / f"{name}.{ending}").exists():
            return path
    raise SourceUnavailableError(f"{name}: the mirror has no {part}/{name}.parquet")


def _module(source: Source) -> ModuleType | None:
    """The file of this folder that knows the corpus: `examples(part)` loads it, `with_groups(rows)` groups it."""
    name = f"data.sources.{source.name}"
    return import_module(name) if find_spec(name) else None


def _understood(example: Example, source: Source) -> Example:
    """The example with the group and, if it is a jailbreak, the harms that its labels name, unless it has them."""
    named = example.labels.get(source.group_by) if source.group_by else None
    if named is not None and not example.group:
        example = replace(example, group=f"{example.source}:{named}")
    if example.kind is Kind.JAILBREAK and not example.harm_categories:
        harms = frozenset[Category]()
        for label, meanings in source.harms_by.items():
            value = example.labels.get(label)
            harms |= meanings.get(str(value), meanings.get("*", frozenset())) if value else frozenset()
        example = replace(example, harm_categories=harms)
    return example


def _from_public_home(source: Source, part: Part) -> Iterator[Example]:
    """Rows of the home that the source's own file knows; whatever a home says instead becomes one error."""
    examples = getattr(_module(source), "examples", None)
    if examples is None:
        raise SourceUnavailableError(f"{source.name}: no public home is known; name a mirror in WEIR_DATA_DIR")
    try:
        yield from examples(part)
    except (OSError, ImportError, ValueError, LookupError) as error:
        reason = f"{source.name}: its public home did not give the rows: {type(error).__name__}: {str(error)[:200]}"
        raise SourceUnavailableError(reason) from error
