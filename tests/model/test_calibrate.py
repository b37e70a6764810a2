"""Thresholds keep the promised false-positive rate, and a score is a probability."""

import numpy as np
import pytest

from data.schema import CATEGORIES, Category
from training.calibrate import CalibrationError, Scored, calibrate, platt, source_weights, threshold_at, window_penalty


def scored(rows: int = 6000, seed: int = 0, slope: float = 2.0) -> Scored:
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, len(CATEGORIES))) < 0.3).astype(float)
    logits = rng.logistic(size=targets.shape) + slope * targets
    return Scored(logits, np.ones(rows, dtype=np.int64), targets, ["a", "b"] * (rows // 2))


def test_a_threshold_lets_no_more_than_its_share_of_benign_texts_through_on_new_data() -> None:
    fitted, fresh = calibrate(scored(seed=0)), scored(seed=1)
    for column, category in enumerate(CATEGORIES):
        logits = fresh.logits[:, column] / fitted.temperatures[category] + fitted.biases[category]
        scores = 1 / (1 + np.exp(-logits))
        for point, share in (("fpr_1%", 0.01), ("fpr_5%", 0.05)):
            wrong = (scores[fresh.targets[:, column] == 0] >= fitted.operating_points[point][category]).mean()
            assert wrong == pytest.approx(share, rel=0.4)


def test_a_score_means_what_it_says() -> None:
    rows = scored(rows=40_000)
    temperature, bias = platt(rows.logits[:, 0], rows.targets[:, 0], Category.INJECTION)
    scores = 1 / (1 + np.exp(-(rows.logits[:, 0] / temperature + bias)))
    likely = (scores > 0.6) & (scores < 0.7)
    assert rows.targets[likely, 0].mean() == pytest.approx(0.65, abs=0.05)


def test_ties_at_the_threshold_stay_below_it() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    threshold = threshold_at(scores, np.ones(5), 0.2)
    assert (scores >= threshold).sum() == 1


def test_a_share_too_small_for_the_data_lets_nothing_through() -> None:
    assert threshold_at(np.array([0.7, 0.2]), np.ones(2), 0.001) > 0.7


def test_every_source_has_the_same_say() -> None:
    weights = source_weights(["big"] * 9 + ["small"])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[-1] == pytest.approx(0.5)


def test_long_benign_texts_are_no_likelier_to_be_flagged_after_the_penalty() -> None:
    rng = np.random.default_rng(0)
    windows = rng.choice([1, 4, 16], size=60_000)
    logits = np.array([rng.gumbel(size=n).max() for n in windows])
    penalty = window_penalty(logits, windows)
    adjusted = logits - penalty * np.log(windows)
    threshold = np.quantile(adjusted[windows == 1], 0.99)
    assert penalty == pytest.approx(1.0, abs=0.25)  # the maximum of n Gumbel draws grows by exactly ln(n)
    assert (adjusted[windows == 16] >= threshold).mean() < 0.02


def test_a_head_without_positives_or_that_ranks_backwards_is_refused() -> None:
    rows = scored()
    rows.targets[:, 3] = 0
    with pytest.raises(CalibrationError, match="self-harm"):
        calibrate(rows)
    with pytest.raises(CalibrationError, match="injection"):
        calibrate(scored(slope=-2.0))
