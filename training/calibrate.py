"""Turning raw logits into probabilities and into thresholds that keep a promised false-positive rate.

Everything here is fitted on the validation split, scored by the very graph that will be served, and ends
up in the bundle's manifest. Test sets play no part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from data.schema import CATEGORIES, Category
from models.aggregate import probability

Floats = npt.NDArray[np.float64]

# The names that a policy may use, and the share of benign texts that each lets through wrongly.
POINTS: Mapping[str, float] = {"fpr_0.1%": 0.001, "fpr_1%": 0.01, "fpr_5%": 0.05}
FULL_SAY = 50  # rows
# No kind of harmless text may pay for the average: each source that has the rows to tell keeps within this many times
# the promised share.
WORST_SOURCE = 3
MEASURABLE = 100  # rows, and at least so many that three of them may be false alarms
PENALTY_SHARE = 0.01


class CalibrationError(Exception):
    """A head that cannot be calibrated: the message says which and why."""


@dataclass(frozen=True)
class Scored:
    """The validation split as the served graph sees it.

    `logits` [N, V, C] are maxima over the windows of each of a text's views, the main one first, `windows` [N, V] for
    how many these pay (models.aggregate.paying); a view that a text lacks has -inf and 1. `targets` [N, C] are NaN
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

    def scores(self, category: Category, logits: Floats, windows: npt.NDArray[np.int64]) -> Floats:
        """What the served classifier says of one category for its logits [N, V] and windows [N, V]."""
        fit = _Fit(self.window_penalties[category], self.temperatures[category], self.biases[category])
        return fit.scores(logits, windows)


def calibrate(scored: Scored) -> Calibration:
    """Fit every head; thresholds are read off the benign texts alone, since the promise is made to their senders.

    Raises CalibrationError if a head has no positives, no negatives, or ranks backwards, or if nothing is benign.
    """
    benign = np.asarray((scored.targets == 0).all(axis=1))
    if not benign.any():
        raise CalibrationError("no validation row is benign in every category")
    sources = np.asarray(scored.sources)[benign]
    temperatures: dict[Category, float] = {}
    biases: dict[Category, float] = {}
    penalties: dict[Category, float] = {}
    points: dict[str, dict[Category, float]] = {name: {} for name in POINTS}
    for column, category in enumerate(CATEGORIES):
        fit = _fit(scored, column, benign)
        penalties[category], temperatures[category], biases[category] = fit.penalty, fit.temperature, fit.bias
        scores = fit.scores(scored.logits[benign, :, column], scored.windows[benign])
        for name, share in POINTS.items():
            points[name][category] = operating_point(scores, sources, share)
    return Calibration(temperatures, biases, penalties, points)


@dataclass(frozen=True)
class _Fit:
    """The three numbers of one head."""

    penalty: float
    temperature: float
    bias: float

    def scores(self, logits: Floats, windows: npt.NDArray[np.int64]) -> Floats:
        """What the served classifier says for these logits [N, V], computed by its own function."""
        highest = _highest(logits, windows, self.penalty)
        return np.array(
            [probability(logit, temperature=self.temperature, bias=self.bias) for logit in highest.tolist()]
        )


def _highest(logits: Floats, windows: npt.NDArray[np.int64], penalty: float) -> Floats:
    """The highest of each text's views [N, V], less what the view pays for its windows."""
    counts, places = np.unique(windows, return_inverse=True)
    logs = np.array([math.log(count) for count in counts.tolist()])  # as in serving: numpy's own may differ by a bit
    highest: Floats = (logits - penalty * logs[places].reshape(windows.shape)).max(axis=1)
    return highest


def _fit(scored: Scored, column: int, benign: npt.NDArray[np.bool_]) -> _Fit:
    category = CATEGORIES[column]
    known = ~np.isnan(scored.targets[:, column])
    truth, windows, raw = scored.targets[known, column], scored.windows[known], scored.logits[known, :, column]
    if not 0 < truth.sum() < len(truth):
        raise CalibrationError(f"{category}: {int(truth.sum())} positives in {len(truth)} validation rows")
    # A calibrated log-odds exceeds x in at most one benign window of e^x, so the largest of n takes at most
    # ln(n) units by chance. A larger gap says that those long texts are harder, not that they are long.
    alone = windows[:, 0] == 1
    if not 0 < truth[alone].sum() < alone.sum():
        alone[:] = True
    unit, _ = platt(raw[alone].max(axis=1), truth[alone], category)
    penalty = min(window_penalty(scored.logits[benign, 0, column], scored.windows[benign, 0]), unit)
    return _Fit(penalty, *platt(_highest(raw, windows, penalty), truth, category))


def operating_point(benign_scores: Floats, sources: npt.NDArray[np.str_], share: float) -> float:
    """The threshold that keeps a promised share of false alarms, over all sources and within each.

    At most `share` of the benign texts reach it, sources weighing alike, and at most WORST_SOURCE times `share` of any
    one source with enough rows to measure that.
    """
    thresholds = [threshold_at(benign_scores, source_weights(sources.tolist()), share)]
    for source in np.unique(sources):
        own = benign_scores[sources == source]
        if len(own) >= max(MEASURABLE, 3 / (WORST_SOURCE * share)):
            thresholds.append(threshold_at(own, np.ones(len(own)), WORST_SOURCE * share))
    return max(thresholds)


def source_weights(sources: Sequence[str]) -> Floats:
    """Row weights [N] that sum to 1 and give every source the same say, whatever its size.

    A source of fewer than FULL_SAY rows has less of one, or a single row of it would decide a threshold.
    """
    _, inverse, counts = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    weights = 1.0 / np.maximum(counts, FULL_SAY)[inverse]
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def platt(logits: Floats, truth: Floats, category: Category) -> tuple[float, float]:
    """Temperature and bias of Platt scaling (Platt 1999): p = sigmoid(logit / temperature + bias)."""
    fitted = LogisticRegression(C=1e4).fit(logits[:, None], truth)
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise CalibrationError(f"{category}: higher logits are not likelier (slope {slope:.3g})")
    return 1.0 / slope, float(fitted.intercept_[0])


def window_penalty(benign_logits: Floats, windows: npt.NDArray[np.int64]) -> float:
    """How much to take off per ln(windows), so that long benign texts are no likelier to be flagged.

    The least that keeps texts of three windows and more within PENALTY_SHARE at the logit that one-window texts reach
    in PENALTY_SHARE. It is fitted there, where a threshold stands, and not lower down, where long texts differ from
    short ones without coming near a flag: each unit of it hides attacks in long documents. Never negative; 0 if there
    are too few long texts to tell.
    """
    short, long = windows == 1, windows >= 3
    if long.sum() < MEASURABLE or short.sum() < MEASURABLE:
        return 0.0
    threshold = float(np.quantile(benign_logits[short], 1 - PENALTY_SHARE, method="higher"))
    needed = np.sort((benign_logits[long] - threshold) / np.log(windows[long]))[::-1]
    return max(0.0, float(needed[int(PENALTY_SHARE * len(needed))]))


def threshold_at(negative_scores: Floats, weights: Floats, share: float) -> float:
    """The lowest threshold that at most `share` (by weight) of the negatives reach or exceed."""
    order = np.argsort(-negative_scores, kind="stable")
    scores, above = negative_scores[order], np.cumsum(weights[order]) / weights.sum()
    allowed = int(np.searchsorted(above, share, side="right"))
    if allowed >= len(scores):
        return 0.0
    # the first score that must not pass, and every tie of it, stay below the threshold
    return float(min(1.0, np.nextafter(scores[allowed], 2.0)))
