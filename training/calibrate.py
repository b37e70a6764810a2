"""Turning raw logits into probabilities and into thresholds that keep a promised false-positive rate.

Everything here is fitted on the validation split, scored by the very graph that will be served, and ends
up in the bundle's manifest. Test sets play no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from data.schema import CATEGORIES, Category

Floats = npt.NDArray[np.float64]

# The names that a policy may use, and the share of benign texts that each lets through wrongly.
POINTS: Mapping[str, float] = {"fpr_0.1%": 0.001, "fpr_1%": 0.01, "fpr_5%": 0.05}


class CalibrationError(Exception):
    """A head that cannot be calibrated: the message says which and why."""


@dataclass(frozen=True)
class Scored:
    """The validation split as the served graph sees it.

    `logits` [N, C] are maxima over a text's windows, `windows` [N] their number, `targets` [N, C] are NaN
    where unknown, `sources` name the corpus of each row.
    """

    logits: Floats
    windows: npt.NDArray[np.int64]
    targets: Floats
    sources: Sequence[str]


@dataclass(frozen=True)
class Calibration:
    """What the manifest needs: see `models.bundle.Manifest` for the formula that joins them."""

    temperatures: Mapping[Category, float]
    biases: Mapping[Category, float]
    window_penalties: Mapping[Category, float]
    operating_points: Mapping[str, Mapping[Category, float]]


def calibrate(scored: Scored) -> Calibration:
    """Fit every head. Raises CalibrationError if one has no positives, no negatives, or ranks backwards."""
    temperatures: dict[Category, float] = {}
    biases: dict[Category, float] = {}
    penalties: dict[Category, float] = {}
    points: dict[str, dict[Category, float]] = {name: {} for name in POINTS}
    weights = source_weights(scored.sources)
    for column, category in enumerate(CATEGORIES):
        known = ~np.isnan(scored.targets[:, column])
        truth, windows = scored.targets[known, column], scored.windows[known]
        if not 0 < truth.sum() < len(truth):
            raise CalibrationError(f"{category}: {int(truth.sum())} positives in {len(truth)} validation rows")
        raw = scored.logits[known, column]
        penalties[category] = window_penalty(raw[truth == 0], windows[truth == 0])
        logits = raw - penalties[category] * np.log(windows)
        temperatures[category], biases[category] = platt(logits, truth, category)
        scores = sigmoid(logits / temperatures[category] + biases[category])
        negatives = truth == 0
        for name, share in POINTS.items():
            points[name][category] = threshold_at(scores[negatives], weights[known][negatives], share)
    return Calibration(temperatures, biases, penalties, points)


def source_weights(sources: Sequence[str]) -> Floats:
    """Row weights [N] that give every source the same say, whatever its size."""
    names, inverse, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(names) * counts[inverse]), dtype=np.float64)


def platt(logits: Floats, truth: Floats, category: Category) -> tuple[float, float]:
    """Temperature and bias of Platt scaling (Platt 1999): p = sigmoid(logit / temperature + bias)."""
    fitted = LogisticRegression(C=1e4).fit(logits[:, None], truth)
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise CalibrationError(f"{category}: higher logits are not likelier (slope {slope:.3g})")
    return 1.0 / slope, float(fitted.intercept_[0])


def window_penalty(benign_logits: Floats, windows: npt.NDArray[np.int64]) -> float:
    """How much to take off per ln(windows), so that long benign texts are no likelier to be flagged.

    The maximum of n scores grows about like ln(n) when the scores have an exponential tail. The slope is read
    off where it matters, between the top percents of one-window texts and of longer ones. Never negative.
    """
    long = windows >= 3
    if long.sum() < 50 or (~long).sum() < 50:
        return 0.0
    short_top = float(np.quantile(benign_logits[windows == 1], 0.99))
    long_top = float(np.quantile(benign_logits[long], 0.99))
    return max(0.0, (long_top - short_top) / float(np.log(windows[long]).mean()))


def threshold_at(negative_scores: Floats, weights: Floats, share: float) -> float:
    """The lowest threshold that at most `share` (by weight) of the negatives reach or exceed."""
    order = np.argsort(-negative_scores, kind="stable")
    scores, above = negative_scores[order], np.cumsum(weights[order]) / weights.sum()
    allowed = int(np.searchsorted(above, share, side="right"))
    if allowed >= len(scores):
        return 0.0
    # the first score that must not pass, and every tie of it, stay below the threshold
    return float(min(1.0, np.nextafter(scores[allowed], 2.0)))


def sigmoid(x: Floats) -> Floats:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)
