"""From the logits of a text's windows to one calibrated score per category. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from data.schema import Category
from models.bundle import Manifest


def scores(logits: npt.NDArray[np.float32], windows: int, manifest: Manifest) -> Mapping[Category, float]:
    """Calibrated probability per category from logits [n, categories] of a text whose main view has `windows`.

    The largest of many noisy logits is large by chance; `window_penalties[c] * ln(windows)` takes that back, so
    that a clean long document is no likelier to be flagged than a clean sentence.
    """
    highest = logits.max(axis=0).astype(np.float64)
    return {
        category: probability(
            float(highest[column]),
            windows,
            penalty=manifest.window_penalties[category],
            temperature=manifest.temperatures[category],
            bias=manifest.biases[category],
        )
        for column, category in enumerate(manifest.labels)
    }


def probability(logit: float, windows: int, *, penalty: float, temperature: float, bias: float) -> float:
    """The calibrated score of one category; thresholds are set on this very function, to the last bit."""
    return _sigmoid((logit - penalty * math.log(windows)) / temperature + bias)


def _sigmoid(value: float) -> float:
    """The logistic function; the two forms keep exp from overflowing."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))
