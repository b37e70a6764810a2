"""Weighted ranking measures, and their bootstrap, on plain numpy arrays.

Scores are sorted once. A bootstrap replicate only changes the weights, so a thousand of them are one
cumulative sum over a matrix instead of a thousand sorts. Equal scores move together: no measure depends
on the order in which ties happen to stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# sums of 1/n are not exact; without this, 1 wrong of 100 would miss a limit of 1 %
_ROUNDING = 1e-9
_REPLICATES_AT_ONCE = 50


@dataclass(frozen=True)
class Curve:
    """Weight of positives and negatives at or above each distinct score.

    `thresholds` [k] falls; `hits` and `alarms` [..., k] are cumulative weights, where leading axes are
    bootstrap replicates.
    """

    thresholds: FloatArray
    hits: FloatArray
    alarms: FloatArray

    @property
    def recall(self) -> FloatArray:
        """Share of the positives' weight at or above each threshold."""
        return np.asarray(self.hits / self.hits[..., -1:])

    @property
    def fpr(self) -> FloatArray:
        """Share of the negatives' weight at or above each threshold."""
        return np.asarray(self.alarms / self.alarms[..., -1:])


@dataclass(frozen=True)
class OperatingPoint:
    """The most that is caught without exceeding a false-positive rate; a text is flagged at score >= threshold."""

    threshold: float
    recall: float
    fpr: float


@dataclass(frozen=True)
class Order:
    """Scores sorted downwards, with the end of every run of equal ones."""

    index: IntArray
    ends: IntArray
    thresholds: FloatArray
    positive: BoolArray

    def curve(self, weights: FloatArray) -> Curve:
        """The curve under `weights` [..., n], given in the callers' row order."""
        ordered = weights[..., self.index]
        hits = np.cumsum(np.where(self.positive, ordered, 0.0), axis=-1)[..., self.ends]
        alarms = np.cumsum(np.where(self.positive, 0.0, ordered), axis=-1)[..., self.ends]
        return Curve(self.thresholds, hits, alarms)


def order_scores(scores: npt.ArrayLike, positive: npt.ArrayLike) -> Order:
    """Sort `scores` [n] of rows that are `positive` [n] or not.

    Raises ValueError if a score is NaN, if lengths differ, or if either class is missing.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive).astype(bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"scores {values.shape} and labels {truth.shape} must be two lists of one length")
    if np.isnan(values).any():
        raise ValueError(
            f"{int(np.isnan(values).sum())} of {len(values)} scores are NaN: a text without score has no rank"
        )
    if truth.all() or not truth.any():
        raise ValueError(f"ranking needs both classes, got {int(truth.sum())} positives of {len(truth)} rows")
    index = np.argsort(-values, kind="stable")
    ordered = values[index]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return Order(index, ends, ordered[ends], truth[index])


def draw_curve(scores: npt.ArrayLike, positive: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Curve:
    """The curve of one set; every row weighs 1 unless `weights` [n] says otherwise."""
    order = order_scores(scores, positive)
    return order.curve(np.ones(len(order.index)) if weights is None else np.asarray(weights, dtype=np.float64))


def area_under_roc(curve: Curve) -> FloatArray:
    """Chance that a positive outranks a negative, ties counted half; shape of the leading axes."""
    recall = curve.recall
    before = np.concatenate([np.zeros_like(recall[..., :1]), recall[..., :-1]], axis=-1)
    step = np.diff(curve.fpr, axis=-1, prepend=0.0)
    return np.asarray(np.sum(step * (recall + before) / 2, axis=-1))


def average_precision(curve: Curve) -> FloatArray:
    """Area under precision over recall, as a sum of steps (no interpolation)."""
    found = curve.hits + curve.alarms
    precision = np.divide(curve.hits, found, out=np.zeros_like(found), where=found > 0)
    return np.asarray(np.sum(np.diff(curve.recall, axis=-1, prepend=0.0) * precision, axis=-1))


def recall_at(curve: Curve, fpr: float) -> FloatArray:
    """Recall at the lowest threshold whose false-positive rate is at most `fpr`; shape of the leading axes."""
    allowed = curve.fpr <= fpr + _ROUNDING
    return np.asarray(np.max(np.where(allowed, curve.recall, 0.0), axis=-1))


def operating_point(curve: Curve, fpr: float) -> OperatingPoint:
    """The lowest threshold of a single curve whose false-positive rate is at most `fpr`; infinite if none is."""
    allowed = int(np.sum(curve.fpr <= fpr + _ROUNDING))  # fpr never falls along the curve
    if allowed == 0:
        return OperatingPoint(float("inf"), 0.0, 0.0)
    last = allowed - 1
    return OperatingPoint(float(curve.thresholds[last]), float(curve.recall[last]), float(curve.fpr[last]))


def equal_group_weights(groups: npt.ArrayLike, positive: npt.ArrayLike) -> FloatArray:
    """Weights that give every group of each class the same say: 1 / (rows of that group and class)."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    strata = codes * 2 + np.asarray(positive).astype(np.int64)
    return np.asarray(1.0 / np.bincount(strata)[strata])


def bootstrap(
    order: Order,
    strata: npt.ArrayLike,
    weights: FloatArray,
    measures: Mapping[str, Callable[[Curve], FloatArray]],
    *,
    replicates: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of `measures`, rows drawn with replacement within each of `strata` [n].

    Resampling inside a stratum keeps what the equal weights promise: no replicate lacks a source or a class.
    """
    generator = np.random.default_rng(seed)
    _, codes = np.unique(np.asarray(strata), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    draws: dict[str, list[FloatArray]] = {name: [] for name in measures}
    for start in range(0, replicates, _REPLICATES_AT_ONCE):
        count = min(_REPLICATES_AT_ONCE, replicates - start)
        times = np.empty((count, len(codes)))
        for rows in members:
            times[:, rows] = _draw_counts(generator, count, len(rows))
        curve = order.curve(times * weights)
        for name, measure in measures.items():
            draws[name].append(measure(curve))
    return {name: _percentiles(np.concatenate(values)) for name, values in draws.items()}


def _draw_counts(generator: np.random.Generator, replicates: int, size: int) -> FloatArray:
    """How often each of `size` rows is drawn, [replicates, size]."""
    drawn = generator.integers(0, size, (replicates, size)) + np.arange(replicates)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=replicates * size).reshape(replicates, size).astype(np.float64)


def _percentiles(values: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def wilson(count: int, total: int) -> tuple[float, float]:
    """95 % score interval of a share; (0, 1) when nothing was counted. Source: Wilson 1927, JASA 22(158)."""
    if total == 0:
        return 0.0, 1.0
    z = 1.959963984540054
    share, spread = count / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    low, high = float(middle - half), float(middle + half)
    return 0.0 if count == 0 else low, 1.0 if count == total else high
