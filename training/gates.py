"""Gates that a model must pass before it goes further. The first: an exported graph decides as its original does.

A small mean difference of scores is not enough, because decisions are made at thresholds: what counts is how many
texts change sides, at every operating point and for every category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from data.schema import CATEGORIES
from training.metrics.curves import FloatArray, area_under_roc, draw_curve


class GateError(Exception):
    """A model is refused; the message names every figure beyond its limit, with both numbers."""


SCARCE: Final = 200  # positives among the compared texts
LONG: Final = 4  # windows, about 640 tokens
LONG_ROWS: Final = 20
LONG_LEAST: Final = 0.6


@dataclass(frozen=True)
class ParityLimits:
    """The most that a candidate may differ from its reference, in calibrated scores (0..1).

    `max_difference` and `mean_difference` are over texts, per category; `flips` is the share of texts whose decision
    changes, per category and point, with other limits for the points in `flips_at`; `auc_drop` is per category, and
    `auc_drop_scarce` holds for one of fewer than SCARCE positives, whose AUC is itself uncertain by more.
    """

    max_difference: float
    mean_difference: float
    flips: float
    auc_drop: float
    auc_drop_scarce: float = 0.01
    flips_at: Mapping[str, float] = field(default_factory=dict)

    def allowed_flips(self, point: str) -> float:
        """The limit at one point."""
        return self.flips_at.get(point, self.flips)


# fp32: the same arithmetic in another library, so only rounding may differ. int8: weights are rounded, so single
# texts may move far; decisions may not, beyond 3 texts in 200 at the point that is served.
# The point that lets 5 % through lies where texts are dense, so it may flip more.
LIMITS: Final[Mapping[str, ParityLimits]] = {
    "fp32": ParityLimits(max_difference=1e-3, mean_difference=1e-4, flips=0.002, auc_drop=0.0005),
    "int8": ParityLimits(
        max_difference=0.5,
        mean_difference=0.02,
        flips=0.015,
        auc_drop=0.005,
        flips_at={"fpr_5%": 0.02},
    ),
}


@dataclass(frozen=True)
class ParityReport:
    """What was compared and found, the worst category of each; `flips` by point, then category.

    `auc_drops` is the loss by category, empty where no labels were given; `scarce` are those of few positives.
    """

    texts: int
    max_difference: float
    mean_difference: float
    worst_category: str
    flips: Mapping[str, Mapping[str, float]]
    auc_drops: Mapping[str, float]
    scarce: Sequence[str]
    limits: ParityLimits

    @property
    def auc_drop(self) -> float | None:
        """The largest loss over the categories; None where no labels were given."""
        return max(self.auc_drops.values(), default=None)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self) | {"auc_drop": self.auc_drop}

    def failures(self) -> list[str]:
        """Every figure beyond its limit, in words; empty if the candidate may pass."""
        limits, found = self.limits, []
        if self.max_difference > limits.max_difference:
            found.append(
                _beyond(f"largest score difference ({self.worst_category})", self.max_difference, limits.max_difference)
            )
        if self.mean_difference > limits.mean_difference:
            found.append(_beyond("mean score difference", self.mean_difference, limits.mean_difference))
        found += [
            _beyond(f"share of flipped decisions for {category} at {point}", flips, limits.allowed_flips(point))
            for point, by_category in self.flips.items()
            for category, flips in by_category.items()
            if flips > limits.allowed_flips(point)
        ]
        for category, drop in self.auc_drops.items():
            limit = limits.auc_drop_scarce if category in self.scarce else limits.auc_drop
            if drop > limit:
                found.append(_beyond(f"drop of AUC for {category}", drop, limit))
        return found


def check_parity(
    reference: npt.ArrayLike,
    candidate: npt.ArrayLike,
    thresholds: Mapping[str, Sequence[float]],
    limits: ParityLimits | Literal["fp32", "int8"],
    targets: npt.ArrayLike | None = None,
) -> ParityReport:
    """Compare calibrated scores [n, 7] of the same texts; raises GateError if `candidate` is beyond `limits`.

    `thresholds` gives for each operating point seven numbers in the order of CATEGORIES. With `targets` [n, 7]
    (1, 0, NaN unknown) the loss of AUC is checked too. A gate that cannot judge is shut: it refuses scores and
    thresholds that are no numbers, no operating point at all, and targets that lack a class of any category.
    """
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    truth = None if targets is None else np.asarray(targets, dtype=np.float64)
    allowed = LIMITS[limits] if isinstance(limits, str) else limits
    _check_scores(before, after)
    _check_thresholds(thresholds)
    if truth is not None:
        _check_targets(truth, before)
    report = _compare(before, after, thresholds, allowed, truth)
    if failures := report.failures():
        raise GateError(f"parity over {report.texts} texts: {'; '.join(failures)}")
    return report


def check_long_attacks(
    scores: npt.ArrayLike, windows: npt.ArrayLike, targets: npt.ArrayLike, threshold: float
) -> dict[str, float]:
    """Recall of attacks of LONG windows and more, and of shorter ones, at one threshold; by one category.

    `scores` and `targets` (1, 0, NaN unknown) are [n], `windows` [n]. Raises GateError if length hides attacks: if less
    than LONG_LEAST of the share of the short ones is found of the long ones. Too few of them decide nothing.
    """
    found, long = np.asarray(scores) >= threshold, np.asarray(windows) >= LONG
    attacks = np.asarray(targets) == 1
    recalls = {
        name: float(found[attacks & rows].mean())
        for name, rows in (("short", ~long), ("long", long))
        if (attacks & rows).sum() >= LONG_ROWS
    }
    if recalls.get("long", 1.0) < LONG_LEAST * recalls.get("short", 0.0):
        raise GateError(f"{recalls['long']:.3f} of long attacks are found, {recalls['short']:.3f} of short ones")
    return recalls


def _check_scores(before: FloatArray, after: FloatArray) -> None:
    if before.shape != after.shape or before.ndim != 2 or before.shape[1] != len(CATEGORIES):
        raise GateError(f"scores of shapes {before.shape} and {after.shape}, both must be [texts, {len(CATEGORIES)}]")
    if len(before) == 0:
        raise GateError("no text to compare")
    for name, scores in (("reference", before), ("candidate", after)):
        if not np.isfinite(scores).all():
            raise GateError(f"{name}: {int((~np.isfinite(scores)).sum())} scores are not finite numbers")


def _check_thresholds(thresholds: Mapping[str, Sequence[float]]) -> None:
    if not thresholds:
        raise GateError("no operating point, so no decision to compare")
    for point, values in thresholds.items():
        if len(values) != len(CATEGORIES):
            raise GateError(f"{point} has {len(values)} thresholds for {len(CATEGORIES)} categories")
        if wrong := int((~np.isfinite(values)).sum()):
            raise GateError(f"{point}: {wrong} thresholds are not finite numbers")


def _check_targets(targets: FloatArray, scores: FloatArray) -> None:
    if targets.shape != scores.shape:
        raise GateError(f"targets of shape {targets.shape}, scores of {scores.shape}")
    if wrong := int((~(np.isnan(targets) | (targets == 0) | (targets == 1))).sum()):
        raise GateError(f"{wrong} targets are neither 0, 1 nor unknown")
    both = (targets == 0).any(axis=0) & (targets == 1).any(axis=0)
    if lacking := [category.value for category, has in zip(CATEGORIES, both, strict=True) if not has]:
        raise GateError(f"no loss of AUC can be measured for {', '.join(lacking)}: their targets lack a class")


def _compare(
    before: FloatArray,
    after: FloatArray,
    thresholds: Mapping[str, Sequence[float]],
    limits: ParityLimits,
    targets: FloatArray | None,
) -> ParityReport:
    difference = np.abs(before - after)
    flips = {
        point: _by_category(np.mean((before >= np.asarray(values)) != (after >= np.asarray(values)), axis=0))
        for point, values in thresholds.items()
    }
    drops = {} if targets is None else _auc_drops(before, after, targets)
    positives = np.zeros(len(CATEGORIES)) if targets is None else (targets == 1).sum(axis=0)
    return ParityReport(
        texts=len(before),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean(axis=0).max()),
        worst_category=CATEGORIES[int(difference.max(axis=0).argmax())].value,
        flips=flips,
        auc_drops=drops,
        scarce=[category.value for category, count in zip(CATEGORIES, positives, strict=True) if count < SCARCE],
        limits=limits,
    )


def _auc_drops(before: FloatArray, after: FloatArray, targets: FloatArray) -> dict[str, float]:
    """The loss by category; a gain counts as a negative loss."""
    drops = {}
    for column, category in enumerate(CATEGORIES):
        known = ~np.isnan(targets[:, column])
        positive = targets[known, column] == 1
        was, now = (float(area_under_roc(draw_curve(s[known, column], positive))) for s in (before, after))
        drops[category.value] = was - now
    return drops


def _by_category(shares: FloatArray) -> dict[str, float]:
    return {category.value: float(share) for category, share in zip(CATEGORIES, shares, strict=True)}


def _beyond(what: str, value: float, limit: float) -> str:
    return f"{what} {value:.4g}, limit {limit:.4g}"
