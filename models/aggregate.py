"""From the logits of a text's windows to one calibrated score per category. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from data.schema import Category
from models.bundle import Manifest
from models.normalize import DECODED, MAIN


def lowered(logits: npt.NDArray[np.float32], views: Sequence[str], manifest: Manifest) -> npt.NDArray[np.float64]:
    """Logits [n, categories] less what each window pays for being one of many; `views` names the view of each.

    The largest of many noisy logits is large by chance; `window_penalties[c] * ln(windows)` takes that back, so that
    a clean long document is no likelier to be flagged than a clean sentence.
    """
    logs = np.array([math.log(count) for count in paying(views)])
    penalties = np.array([manifest.window_penalties[category] for category in manifest.labels])
    paid: npt.NDArray[np.float64] = logs[:, None] * penalties
    return logits.astype(np.float64) - paid


def paying(views: Sequence[str]) -> list[int]:
    """For how many windows each of a text's windows pays, n names in `views`.

    For those of the main view; but what a code hides must not pay for the length of the code, so the decoded view pays
    for its own if they are fewer. More than the main view none pays, or a text could be padded for one view alone.
    """
    counts = Counter(views)
    decoded = min(counts[DECODED], counts[MAIN])
    return [decoded if view == DECODED else counts[MAIN] for view in views]


def scores(lowered_logits: npt.NDArray[np.float64], manifest: Manifest) -> Mapping[Category, float]:
    """Calibrated probability per category, of the highest of a text's :func:`lowered` logits [n, categories]."""
    return {
        category: probability(highest, temperature=manifest.temperatures[category], bias=manifest.biases[category])
        for category, highest in zip(manifest.labels, lowered_logits.max(axis=0).tolist(), strict=True)
    }


def probability(logit: float, *, temperature: float, bias: float) -> float:
    """The calibrated score of one category; thresholds are set on this very function, to the last bit."""
    return _sigmoid(logit / temperature + bias)


def _sigmoid(value: float) -> float:
    """The logistic function; the two forms keep exp from overflowing."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))
