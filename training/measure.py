"""From scored rows to figures: pooled, per set, by length, with intervals. Everything here is pure.

Each head is measured on the rows that say something about it. Two thresholds recur: a set's own (as papers
report it) and the pooled one, set once on the negatives of all sources with equal weight (as a guard in front
of mixed traffic has to be set).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.schema import CATEGORIES
from training.metrics import Metrics
from training.metrics.curves import (
    BoolArray,
    FloatArray,
    area_under_roc,
    average_precision,
    bootstrap,
    equal_group_weights,
    order_scores,
    recall_at,
    wilson,
)
from training.rows import ScoredRows
from training.targets import any_harm_target

# A report is JSON all the way down: figures, and figures by name.
Figures = dict[str, Any]

FPRS: Mapping[str, float] = {"0.1%": 0.001, "1%": 0.01, "5%": 0.05}
ANY_HARM = "harm"
LENGTHS: Sequence[tuple[int, int | None]] = (
    (0, 32), (33, 64), (65, 128), (129, 256), (257, 512), (513, 1024), (1025, None),
)  # fmt: skip
_BINS = 10


@dataclass(frozen=True)
class Head:
    """What one head said and should have said: `scores`, `targets` (NaN: unknown) and served `flags`, [n] each."""

    name: str
    scores: FloatArray
    targets: FloatArray
    flags: BoolArray

    @property
    def positive(self) -> BoolArray:
        """Rows that it should find."""
        return np.asarray(self.targets == 1)

    @property
    def negative(self) -> BoolArray:
        """Rows that it should leave alone."""
        return np.asarray(self.targets == 0)

    def only(self, rows: npt.NDArray[np.bool_]) -> Head:
        """The same head on a part of the rows."""
        return Head(self.name, self.scores[rows], self.targets[rows], self.flags[rows])


@dataclass(frozen=True)
class Sampling:
    """How intervals are drawn: how many replicates, from which seed."""

    replicates: int = 300
    seed: int = 0


def heads_of(rows: ScoredRows) -> dict[str, Head]:
    """One head per category, and `harm`: the highest of the six, positive on every harmful row."""
    flags = rows.flags
    heads = {
        category.value: Head(category.value, rows.scores[:, column], rows.targets[:, column], flags[:, column])
        for column, category in enumerate(CATEGORIES)
    }
    harmful = np.array([any_harm_target(kind) for kind in rows.kind.tolist()], dtype=np.float64)
    return heads | {
        ANY_HARM: Head(
            ANY_HARM, rows.scores[:, 1:].max(axis=1, initial=0.0), harmful, np.asarray(flags[:, 1:].any(axis=1))
        )
    }


def pooled_figures(head: Head, source: npt.NDArray[np.str_], metrics: Metrics, sampling: Sampling) -> Figures | None:
    """One threshold for all sources, equal weight each, recall averaged over sets; None if a class is missing."""
    known = head.positive | head.negative
    part, where = head.only(known), source[known]
    if not part.positive.any() or not part.negative.any():
        return None
    found = metrics.pooled_recall.compute(
        predictions=part.scores, references=part.positive.astype(np.int64), sources=where, fprs=list(FPRS.values())
    )
    intervals = _pooled_intervals(part, where, sampling)
    points = {}
    for at, name in enumerate(FPRS):
        threshold = found["threshold"][at]
        points[name] = {
            "threshold": finite(threshold),
            "recall": estimate(found["recall"][at], intervals[name]),
            "fpr": rounded(found["fpr"][at]),
            "recall_by_set": _rates(part.scores >= threshold, part.positive, where),
            "fpr_by_source": _rates(part.scores >= threshold, part.negative, where),
        }
    served = _rates(part.flags, part.positive, where), _rates(part.flags, part.negative, where)
    return {
        "positives": int(part.positive.sum()),
        "negatives": int(part.negative.sum()),
        "auc": estimate(found["auc"], intervals["auc"]),
        "auprc": estimate(found["auprc"], intervals["auprc"]),
        "at": points,
        "served": {
            "recall": _mean_rate(served[0]),
            "fpr": _mean_rate(served[1]),
            "recall_by_set": served[0],
            "fpr_by_source": served[1],
        },
        "at_half": _macro_at(part, where, 0.5),
    }


def _pooled_intervals(part: Head, where: npt.NDArray[np.str_], sampling: Sampling) -> dict[str, tuple[float, float]]:
    """Rows redrawn within each set and class, the thresholds chosen anew each time."""
    weights = equal_group_weights(where, part.positive)
    strata = np.char.add(where, np.where(part.positive, "+", "-"))
    measures = {"auc": area_under_roc, "auprc": average_precision} | {
        name: (lambda curve, fpr=fpr: recall_at(curve, fpr)) for name, fpr in FPRS.items()
    }
    return bootstrap(
        order_scores(part.scores, part.positive), strata, weights, measures,
        replicates=sampling.replicates, seed=sampling.seed,
    )  # fmt: skip


def set_figures(head: Head, thresholds: Mapping[str, float], metrics: Metrics, sampling: Sampling) -> Figures | None:
    """One head on one set, at its own thresholds, at the pooled `thresholds` and as served; None without labels."""
    positive, negative = head.positive, head.negative
    if not positive.any() and not negative.any():
        return None
    return {
        "positives": int(positive.sum()),
        "negatives": int(negative.sum()),
        "own": _own_figures(head, metrics, sampling) if positive.any() and negative.any() else None,
        "pooled": {
            name: {"recall": share(head.scores >= at, positive), "fpr": share(head.scores >= at, negative)}
            for name, at in thresholds.items()
        },
        "served": {"recall": share(head.flags, positive), "fpr": share(head.flags, negative)},
    }


def _own_figures(head: Head, metrics: Metrics, sampling: Sampling) -> Figures:
    known = head.positive | head.negative
    part = head.only(known)
    columns = {"predictions": part.scores, "references": part.positive.astype(np.int64)}
    ranking = metrics.ranking.compute(**columns)
    points = metrics.recall_at_fpr.compute(**columns, fprs=list(FPRS.values()))
    measures = {"auc": area_under_roc, "auprc": average_precision}
    intervals = bootstrap(
        order_scores(part.scores, part.positive), part.positive, np.ones(len(part.scores)), measures,
        replicates=sampling.replicates, seed=sampling.seed,
    )  # fmt: skip
    return {
        "auc": estimate(ranking["auc"], intervals["auc"]),
        "auprc": estimate(ranking["auprc"], intervals["auprc"]),
        "at": {
            name: {
                "threshold": finite(points["threshold"][at]),
                "recall": share(part.scores >= points["threshold"][at], part.positive),
                "fpr": rounded(points["fpr"][at]),
            }
            for at, name in enumerate(FPRS)
        },
    }


def length_figures(head: Head, tokens: npt.NDArray[np.int64], pooled: float | None) -> list[Figures]:
    """Recall and false positives by length in tokens, as served and at the `pooled` threshold; rows weigh alike."""
    buckets: list[Figures] = []
    for low, high in LENGTHS:
        inside = (tokens >= low) & (tokens <= (high if high is not None else np.inf))
        part = head.only(inside)
        bucket: Figures = {
            "tokens": f"{low}-{high}" if high is not None else f"{low}+",
            "served": {"recall": share(part.flags, part.positive), "fpr": share(part.flags, part.negative)},
        }
        if pooled is not None:
            above = part.scores >= pooled
            bucket["pooled_1%"] = {"recall": share(above, part.positive), "fpr": share(above, part.negative)}
        buckets.append(bucket)
    return buckets


def reliability(head: Head, source: npt.NDArray[np.str_]) -> Figures | None:
    """Mean score beside observed share, in ten equal bins of score, and their mean distance (ECE).

    Both classes weigh the same, and so does every source within its class: the mix of test sets says nothing
    about the mix of traffic.
    """
    known = head.positive | head.negative
    part = head.only(known)
    if not part.positive.any() or not part.negative.any():
        return None
    weights = equal_group_weights(source[known], part.positive)
    weights[part.positive] /= weights[part.positive].sum()
    weights[part.negative] /= weights[part.negative].sum()
    where = np.minimum((part.scores * _BINS).astype(np.int64), _BINS - 1)
    bins, error = [], 0.0
    for number in range(_BINS):
        inside = where == number
        weight = float(weights[inside].sum())
        if weight == 0:
            continue
        score = float((weights * part.scores)[inside].sum()) / weight
        observed = float(weights[inside & part.positive].sum()) / weight
        error += abs(score - observed) * weight / 2
        bins.append({"score": rounded(score), "observed": rounded(observed), "rows": int(inside.sum())})
    return {"bins": bins, "ece": rounded(error)}


def share(chosen: BoolArray, among: BoolArray) -> Figures | None:
    """How many of `among` are chosen, with Wilson's 95 % interval; None if there are none to choose from."""
    count, total = int((chosen & among).sum()), int(among.sum())
    if total == 0:
        return None
    return estimate(count / total, wilson(count, total)) | {"count": count, "of": total}


def estimate(value: float, interval: tuple[float, float]) -> Figures:
    """A figure with its 95 % interval."""
    return {"value": rounded(value), "low": rounded(interval[0]), "high": rounded(interval[1])}


def rounded(value: float) -> float:
    """Five digits after the point: more than any interval here can tell apart."""
    return round(float(value), 5)


def finite(value: float) -> float | None:
    """A threshold as JSON can hold it: null for the infinite one, which flags nothing."""
    return float(value) if math.isfinite(value) else None


def _rates(chosen: BoolArray, among: BoolArray, source: npt.NDArray[np.str_]) -> dict[str, Figures]:
    rates = {str(name): share(chosen, among & (source == name)) for name in np.unique(source)}
    return {name: rate for name, rate in rates.items() if rate is not None}


def _mean_rate(rates: Mapping[str, Figures]) -> float:
    return rounded(float(np.mean([rate["value"] for rate in rates.values()])))


def _macro_at(head: Head, source: npt.NDArray[np.str_], threshold: float) -> Figures:
    above = head.scores >= threshold
    return {
        "recall": _mean_rate(_rates(above, head.positive, source)),
        "fpr": _mean_rate(_rates(above, head.negative, source)),
    }
