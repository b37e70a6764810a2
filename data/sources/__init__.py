"""Where labelled text comes from: one entry of registry.yaml a corpus, one file here for each with a public home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

import yaml

from data.schema import Example, LicenceClass
from data.sources.mirror import read_rows

Part = Literal["train", "eval"]
PERMISSIVE = frozenset({LicenceClass.PERMISSIVE, LicenceClass.PERMISSIVE_UPSTREAM})


class SourceUnavailableError(Exception):
    """A corpus that cannot be had here: neither in the mirror nor from a public home that answers."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one corpus. `group_by` names the field of `labels` that tells its templates apart."""

    name: str
    parts: tuple[Part, ...]
    origin: str
    licence: str
    licence_class: LicenceClass
    group_by: str | None = None

    @property
    def permissive(self) -> bool:
        """Whether a published model may be trained on it."""
        return self.licence_class in PERMISSIVE


@lru_cache(maxsize=1)
def registry() -> dict[str, Source]:
    """Every corpus that is known, by name."""
    entries = yaml.safe_load(Path(__file__).with_name("registry.yaml").read_text(encoding="utf-8"))
    return {
        name: Source(
            name=name,
            parts=tuple(entry["parts"]),
            origin=entry["origin"],
            licence=entry["licence"],
            licence_class=LicenceClass(entry["licence_class"]),
            group_by=entry.get("group_by"),
        )
        for name, entry in entries.items()
    }


def load(name: str, part: Part = "train", data_dir: Path | None = None) -> Iterator[Example]:
    """The rows of one corpus: from the mirror where one is named, else from its public home.

    `data_dir` defaults to WEIR_DATA_DIR. Raises KeyError for an unknown name, and SourceUnavailableError,
    with the reason, for a corpus that this way does not lead to.
    """
    source, root = registry()[name], mirror_root(data_dir)
    if part not in source.parts:
        raise SourceUnavailableError(f"{name}: has no {part} rows")
    if root is not None:
        rows = read_rows(mirror_path(name, part, root), group_by=source.group_by)
        yield from getattr(_module(source), "with_groups", iter)(rows)
    elif hasattr(_module(source), "examples"):
        yield from _from_public_home(source, part)
    else:
        raise SourceUnavailableError(f"{name}: no public home is known; name a mirror in WEIR_DATA_DIR")


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


def _from_public_home(source: Source, part: Part) -> Iterator[Example]:
    try:
        examples: Iterator[Example] = getattr(_module(source), "examples")(part)
        yield from examples
    except (OSError, ImportError, ValueError, LookupError) as error:
        reason = f"{source.name}: its public home did not answer ({type(error).__name__})"
        raise SourceUnavailableError(reason) from error
