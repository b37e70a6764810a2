"""What one prediction says about its sender: calibrated scores as evidence in [0, 1].

A score is read against the operating points of the model's manifest, which are false-positive rates, so a retrained
model needs no new numbers here. Between two points the evidence grows evenly in log-odds. An attack's score passes
`fpr_5%` in about three cases of four on the public sets and `fpr_1%` in more than half, that of an ordinary text in one
of twenty-five and of a hundred.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from data.schema import HARM_CATEGORIES, Category

NEAR: Final = 1.0  # log-odds: from 0.50 to 0.73, from 0.77 to 0.90
POINTS: Final = ("fpr_5%", "fpr_1%", "fpr_0.1%")
_LEAST: Final = 1e-9

Thresholds = Mapping[str, Mapping[Category, float]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much a text looks like an injection, like harm, and like somebody feeling for a threshold."""

    injection: float
    harm: float
    near_threshold: bool


NO_EVIDENCE: Final = Evidence(0.0, 0.0, near_threshold=False)


def weigh_scores(scores: Mapping[Category, float], thresholds: Thresholds) -> Evidence:
    """The evidence of one text's scores. `thresholds` are the operating points of the model that gave them.

    Injection: 0 from 1.5 below the log-odds of `fpr_5%`, 0.9 at that point and 1 from `fpr_1%` on.
    Harm, the highest of six heads that each may err: 0 at `fpr_1%`, 0.8 at `fpr_0.1%`, 1 from log-odds of 1 above.
    """
    known = [point for point in POINTS if point in thresholds]
    if not known:
        return Evidence(0.0, 0.0, near_threshold=False)
    injection = _log_odds(scores[Category.INJECTION])
    marks = [_mark(thresholds[point][Category.INJECTION]) for point in known]
    levels = [{"fpr_5%": 0.9, "fpr_1%": 1.0, "fpr_0.1%": 1.0}[point] for point in known]
    return Evidence(
        injection=_between(injection, [marks[0] - 1.5, *marks], [0.0, *levels]),
        harm=max(_harm(scores[category], category, thresholds) for category in HARM_CATEGORIES),
        near_threshold=any(0 < mark - injection <= NEAR for mark in marks),
    )


def _harm(score: float, category: Category, thresholds: Thresholds) -> float:
    if not {"fpr_1%", "fpr_0.1%"} <= thresholds.keys():
        return 0.0
    easy, hard = (_mark(thresholds[point][category]) for point in ("fpr_1%", "fpr_0.1%"))
    return _between(_log_odds(score), [easy, hard, hard + 1], [0.0, 0.8, 1.0])


def _log_odds(probability: float) -> float:
    # A score that is not a number counts as the highest: nobody is trusted for a failure of ours.
    sure = 1 - _LEAST if math.isnan(probability) else min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(sure / (1 - sure))


@functools.lru_cache(maxsize=256)
def _mark(threshold: float) -> float:
    """The log-odds of an operating point, of which a model has a few."""
    return _log_odds(threshold)


def _between(value: float, marks: Sequence[float], levels: Sequence[float]) -> float:
    """The level at a value, evenly between the marks around it; marks ascend. numpy.interp takes six times as long."""
    place = bisect.bisect_right(marks, value)
    if place in {0, len(marks)}:
        return levels[max(place - 1, 0)]
    share = (value - marks[place - 1]) / (marks[place] - marks[place - 1])
    return levels[place - 1] + share * (levels[place] - levels[place - 1])
