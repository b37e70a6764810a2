"""Area under ROC and under precision-recall, as a module of the `evaluate` library."""

from __future__ import annotations

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from training.metrics.curves import area_under_roc, average_precision, draw_curve

_DESCRIPTION = "How well scores separate positives from negatives, over all thresholds. Ties count half."
_INPUTS = """
predictions: scores, any real numbers, higher means more likely positive
references: 1 for a positive, 0 for a negative
sample_weight: weight of each row (default: 1 each)
returns auc and auprc (average precision)
"""


class Ranking(evaluate.Metric):  # type: ignore[misc]  # the library ships no types
    """`auc` and `auprc` of weighted rows; ValueError on a NaN score or a missing class."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(
        self, predictions: npt.ArrayLike, references: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> dict[str, float]:
        curve = draw_curve(np.asarray(predictions), np.asarray(references), sample_weight)
        return {"auc": float(area_under_roc(curve)), "auprc": float(average_precision(curve))}
