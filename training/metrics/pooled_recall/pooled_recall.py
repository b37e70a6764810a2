"""One threshold for all sources, recall averaged over attack sets, as a module of the `evaluate` library.

This is the measure that the README leads with. A guard has one threshold in front of all traffic, so the
threshold is set once, on the negatives of all sources together; every source has the same say whatever its
size, and so has every attack set.
"""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from training.metrics.curves import area_under_roc, average_precision, draw_curve, equal_group_weights, operating_point

_DESCRIPTION = (
    "Recall averaged over attack sets at one threshold, set on negatives pooled with equal weight per source."
)
_INPUTS = """
predictions: scores, any real numbers, higher means more likely positive
references: 1 for a positive, 0 for a negative
sources: the set that each row comes from
fprs: false-positive rates, 0..1 (default: 0.01)
returns auc and auprc under the same weights, and threshold, recall and fpr, each a list in the order of fprs
"""


class PooledRecall(evaluate.Metric):  # type: ignore[misc]  # the library ships no types
    """Macro recall at pooled false-positive rates; ValueError on a NaN score or a missing class."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {
                "predictions": datasets.Value("float64"),
                "references": datasets.Value("int64"),
                "sources": datasets.Value("string"),
            }
        )
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(
        self,
        predictions: npt.ArrayLike,
        references: npt.ArrayLike,
        sources: npt.ArrayLike,
        fprs: Sequence[float] = (0.01,),
    ) -> dict[str, float | list[float]]:
        positive = np.asarray(references).astype(bool)
        curve = draw_curve(predictions, positive, equal_group_weights(sources, positive))
        points = [operating_point(curve, fpr) for fpr in fprs]
        return {
            "auc": float(area_under_roc(curve)),
            "auprc": float(average_precision(curve)),
            "threshold": [point.threshold for point in points],
            "recall": [point.recall for point in points],
            "fpr": [point.fpr for point in points],
        }
