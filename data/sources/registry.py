"""What is known of every corpus, read from registry.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml

from data.schema import Category, LicenceClass

Part = Literal["train", "eval"]
HarmsBy = Mapping[str, Mapping[str, frozenset[Category]]]
PERMISSIVE = frozenset({LicenceClass.PERMISSIVE, LicenceClass.PERMISSIVE_UPSTREAM})


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one corpus.

    `group_by` names the field of `labels` that tells its templates apart. `harms_by` names the field that tells what
    harm its jailbreaks ask for, and says of which categories its values are. `committed` names a folder of this
    project that holds its rows.
    """

    name: str
    parts: tuple[Part, ...]
    origin: str
    licence: str
    licence_class: LicenceClass
    group_by: str | None = None
    harms_by: HarmsBy = field(default_factory=dict)
    committed: str | None = None

    @property
    def permissive(self) -> bool:
        """Whether a published model may be trained on it."""
        return self.licence_class in PERMISSIVE

    @property
    def home(self) -> Path | None:
        """The folder of this project that holds its rows, for a corpus that we wrote ourselves."""
        return None if self.committed is None else Path(__file__).parents[2] / self.committed


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
            harms_by={
                label: {value: frozenset(map(Category, harms)) for value, harms in meanings.items()}
                for label, meanings in entry.get("harms_by", {}).items()
            },
            committed=entry.get("committed"),
        )
        for name, entry in entries.items()
    }
