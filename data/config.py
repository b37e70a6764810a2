"""What build.yaml may say: how much of each source is used, how rows are compared, how they are split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from data.schema import Kind

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OverlapConfig(_Strict):
    """From which share on a training row repeats an evaluation row."""

    jaccard: Share
    containment: Share


class GroupConfig(_Strict):
    """When two training rows belong together."""

    jaccard: Share
    permutations: int = Field(ge=16)
    prefix_words: int = Field(ge=4)


class SourceConfig(_Strict):
    """How much of one source is used.

    `caps` names the kinds to take and the most rows of each; a kind that is not named is left out. `weight`
    multiplies every row's weight. `twins` gives the benign rows of a group the weight of its poisoned rows.
    `skip_weak` leaves out the rows with noisy labels.
    """

    caps: dict[Kind, Count]
    weight: float = Field(default=1.0, gt=0)
    twins: bool = False
    skip_weak: bool = False


class PlantingConfig(_Strict):
    """How many texts are made of public documents with a sentence planted in them, and of which.

    `documents` name the sources whose harmless texts are planted in, `payloads` those whose short attacks are
    planted, beside attacks from our own grammars.
    """

    count: Count = 0
    documents: list[str] = []
    payloads: list[str] = []


class FramingConfig(_Strict):
    """How many texts are made of a request in a scenario of ours, and of which sources' harmful and harmless rows."""

    count: Count = 0
    harmful: list[str] = []
    harmless: list[str] = []


class BuildConfig(_Strict):
    """The whole of build.yaml."""

    seed: int
    validation_share: float = Field(gt=0, lt=0.5)
    pool: float = Field(ge=1)
    weak_weight: float = Field(gt=0, le=1)
    overlap: OverlapConfig
    groups: GroupConfig
    generated: dict[str, Count] = {}  # examples by generator
    planted: PlantingConfig = PlantingConfig()
    framed: FramingConfig = FramingConfig()
    sources: dict[str, SourceConfig]
    excluded: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> BuildConfig:
        """Read and validate a file; pydantic's ValidationError names the field that is wrong."""
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
