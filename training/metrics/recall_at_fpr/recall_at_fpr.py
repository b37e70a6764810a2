"""Recall at a promised false-positive rate, as a module of the `evaluate` library."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from training.metrics.curves import draw_curve, operating_point

_DESCRIPTION = "What is caught when at most a given share of the negatives is flagged (score >= threshold)."
_INPUTS = """
predictions: scores, any real numbers, higher means more likely positive
references: 1 for a positive, 0 for a negative
fprs: false-positive rates, 0..1 (default: 0.01)
sample_weight: weight of each row (default: 1 each)
returns threshold, recall and fpr (the rate really reached), each a list in the order of fprs
"""


class RecallAtFpr(evaluate.Metric):  # type: ignore[misc]  # the library ships no types
    """The most that is caught at each of some false-positive rates; ValueError on a NaN score or a missing class."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(
        self,
        predictions: npt.ArrayLike,
        references: npt.ArrayLike,
        fprs: Sequence[float] = (0.01,),
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, list[float]]:
        curve = draw_curve(np.asarray(predictions), np.asarray(references), sample_weight)
        points = [operating_point(curve, fpr) for fpr in fprs]
        return {
            "threshold": [point.threshold for point in points],
            "recall": [point.recall for point in points],
            "fpr": [point.fpr for point in points],
        }
