"""What a public row says about each category, for measuring: positive, negative, or nothing.

Training reads :meth:`data.schema.Example.targets`; evaluation needs two things more. Plain harmful requests
are left out of the injection figures (whether a harmful request is a jailbreak is a matter of taste), and the
OpenAI moderation set names for every row which categories its annotators looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from data.schema import CATEGORIES, HARM_CATEGORIES, Category, Example, Kind

OPENAI_MODERATION = "openai_moderation_1680"

# The set's own keys by our category: S sexual, S3 sexual about minors, H hate, H2 hate with threats,
# V violence, V2 graphic violence, HR harassment, SH self-harm. It has no key for illicit.
_OPENAI_KEYS: Mapping[Category, tuple[str, ...]] = {
    Category.HATE: ("H", "H2"),
    Category.HARASSMENT: ("HR",),
    Category.SELF_HARM: ("SH",),
    Category.SEXUAL: ("S", "S3"),
    Category.VIOLENCE: ("V", "V2"),
}


def row_targets(source: str, kind: str | None, harms: Sequence[str], labels: str | None) -> npt.NDArray[np.float64]:
    """Targets [7] of one row: 1, 0, or NaN where the row says nothing (always, if it is unlabelled).

    Raises ValueError if a harm category is not one of ours.
    """
    targets = np.full(len(CATEGORIES), np.nan)
    if kind is None:
        return targets
    if source == OPENAI_MODERATION and labels:
        return _openai_targets(Kind(kind), json.loads(labels))
    example = Example("", "", source, Kind(kind), frozenset(Category(harm) for harm in harms))
    for column, target in enumerate(example.targets().values()):
        targets[column] = np.nan if target is None else target
    if example.kind is Kind.HARM:
        targets[0] = np.nan
    return targets


def any_harm_target(kind: str | None) -> float:
    """Whether a row is harmful at all: 1, 0, or NaN for attacks and unlabelled rows."""
    return {Kind.HARM.value: 1.0, Kind.BENIGN.value: 0.0}.get(kind or "", float("nan"))


def _openai_targets(kind: Kind, labels: Mapping[str, int]) -> npt.NDArray[np.float64]:
    targets = np.full(len(CATEGORIES), np.nan)
    if kind is Kind.BENIGN:
        targets[0] = 0.0
    for category in HARM_CATEGORIES:
        keys = _OPENAI_KEYS.get(category, ())
        # the main key decides what was looked at; a sub-category alone can only say yes
        values = [labels[key] for key in keys if labels.get(key) is not None]
        if any(values):
            targets[CATEGORIES.index(category)] = 1.0
        elif keys and labels.get(keys[0]) is not None:
            targets[CATEGORIES.index(category)] = 0.0
    return targets
