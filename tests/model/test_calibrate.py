"""Thresholds keep the promised false-positive rate, and a score is a probability."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data.schema import CATEGORIES, Category
from models import aggregate
from models.bundle import load_bundle
from tests.tiny_bundle import build_tiny_bundle
from training.calibrate import (
    Calibration,
    CalibrationError,
    Floats,
    Scored,
    calibrate,
    operating_point,
    platt,
    source_weights,
    threshold_at,
    window_penalty,
)


def scored(rows: int = 6000, seed: int = 0, slope: float = 2.0) -> Scored:
    rng = np.random.default_rng(seed)
    targets = (rng.random((rows, len(CATEGORIES))) < 0.3).astype(float)
    logits = rng.logistic(size=targets.shape) + slope * targets
    return of_one_view(logits, targets, ["a", "b"] * (rows // 2))


def of_one_view(logits: Floats, targets: Floats, sources: Sequence[str]) -> Scored:
    return Scored(logits[:, None], np.ones((len(logits), 1), dtype=np.int64), targets, sources)


def test_a_threshold_lets_no_more_than_its_share_of_benign_texts_through_on_new_data() -> None:
    fitted, fresh = calibrate(scored(60_000, seed=0)), scored(60_000, seed=1)
    for column, category in enumerate(CATEGORIES):
        logits = fresh.logits[:, 0, column] / fitted.temperatures[category] + fitted.biases[category]
        scores = 1 / (1 + np.exp(-logits))
        for point, share in (("fpr_1%", 0.01), ("fpr_5%", 0.05)):
            wrong = (scores[fresh.targets[:, column] == 0] >= fitted.operating_points[point][category]).mean()
            assert wrong == pytest.approx(share, rel=0.4)


def test_a_score_means_what_it_says() -> None:
    rows = scored(rows=40_000)
    temperature, bias = platt(rows.logits[:, 0, 0], rows.targets[:, 0], Category.INJECTION)
    scores = 1 / (1 + np.exp(-(rows.logits[:, 0, 0] / temperature + bias)))
    likely = (scores > 0.6) & (scores < 0.7)
    assert rows.targets[likely, 0].mean() == pytest.approx(0.65, abs=0.05)


def test_ties_at_the_threshold_stay_below_it() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    threshold = threshold_at(scores, np.ones(5), 0.2)
    assert (scores >= threshold).sum() == 1


def test_a_share_too_small_for_the_data_lets_nothing_through() -> None:
    assert threshold_at(np.array([0.7, 0.2]), np.ones(2), 0.001) > 0.7


def test_no_source_pays_for_the_average() -> None:
    rng = np.random.default_rng(0)
    easy, hard = rng.uniform(0.1, 0.5, 9000), rng.uniform(0.1, 0.9, 1000)
    sources = np.array([f"easy{i % 9}" for i in range(9000)] + ["hard"] * 1000)
    scores = np.concatenate([easy, hard])
    pooled = threshold_at(scores, np.ones(10_000), 0.01)
    assert (hard >= pooled).mean() > 0.09
    assert (hard >= operating_point(scores, sources, 0.01)).mean() == pytest.approx(0.03, abs=0.001)


def test_a_source_of_few_rows_cannot_raise_a_threshold_alone() -> None:
    scores = np.concatenate([np.tile(np.linspace(0.1, 0.5, 100), 90), np.full(9, 0.99)])
    sources = np.array([f"many{i % 9}" for i in range(9000)] + ["few"] * 9)
    assert operating_point(scores, sources, 0.05) < 0.5


def test_every_source_has_the_same_say_but_one_of_few_rows() -> None:
    weights = source_weights(["big"] * 900 + ["small"] * 50 + ["tiny"])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[:900].sum() == pytest.approx(weights[900:950].sum())
    assert weights[-1] == pytest.approx(weights[900])


def test_the_attacks_of_a_source_take_nothing_from_the_say_of_its_benign_texts() -> None:
    rng = np.random.default_rng(0)
    kinds = np.array([["a", 0.0, 0.0]] * 400 + [["b", 0.0, 3.0]] * 400 + [["b", 1.0, 4.0]] * 4000, dtype=object)
    targets = np.repeat(kinds[:, 1:2].astype(float), len(CATEGORIES), axis=1)
    logits = rng.logistic(size=targets.shape) + kinds[:, 2:].astype(float)
    fitted = calibrate(of_one_view(logits, targets, kinds[:, 0].tolist()))
    hate = Category.HATE
    scores = 1 / (1 + np.exp(-(logits[:, 1] / fitted.temperatures[hate] + fitted.biases[hate])))
    flagged = scores >= fitted.operating_points["fpr_5%"][hate]
    assert (flagged[:400].mean() + flagged[400:800].mean()) / 2 == pytest.approx(0.05, abs=0.002)


def test_thresholds_keep_their_promise_to_benign_texts_whatever_harmful_ones_score() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat(["benign", "harm", "attack"], 4000)
    targets = np.zeros((12_000, len(CATEGORIES)))
    targets[kind == "harm", 1:], targets[kind == "attack", 0], targets[kind == "attack", 1:] = 1, 1, np.nan
    logits = rng.logistic(size=targets.shape) + 3 * np.nan_to_num(targets)
    logits[kind == "harm", 0] += 2  # a harmful request looks a little like an attack
    fitted = calibrate(of_one_view(logits, targets, ["ours"] * 12_000))
    injection = Category.INJECTION
    scores = 1 / (1 + np.exp(-(logits[:, 0] / fitted.temperatures[injection] + fitted.biases[injection])))
    flagged = scores >= fitted.operating_points["fpr_1%"][injection]
    assert flagged[kind == "benign"].mean() == pytest.approx(0.01, abs=0.0005)
    assert flagged[kind == "harm"].mean() > 0.02


def test_long_benign_texts_are_no_likelier_to_be_flagged_after_the_penalty() -> None:
    rng = np.random.default_rng(0)
    windows = rng.choice([1, 4, 16], size=60_000)
    logits = np.array([rng.gumbel(size=n).max() for n in windows])
    penalty = window_penalty(logits, windows)
    adjusted = logits - penalty * np.log(windows)
    threshold = np.quantile(adjusted[windows == 1], 0.99)
    assert penalty == pytest.approx(1.0, abs=0.25)  # the maximum of n Gumbel draws grows by exactly ln(n)
    assert (adjusted[windows == 16] >= threshold).mean() < 0.02


def test_long_texts_that_differ_far_below_any_threshold_cost_nothing() -> None:
    rng = np.random.default_rng(0)
    windows = rng.choice([1, 8], size=20_000)
    logits = np.where(windows == 1, rng.normal(-6, 3, 20_000), rng.normal(-3, 0.5, 20_000))
    assert np.quantile(logits[windows == 8], 0.8) > np.quantile(logits[windows == 1], 0.8)
    assert window_penalty(logits, windows) == 0.0


def test_the_penalty_is_never_more_than_chance_explains() -> None:
    rows = scored(6000)
    rows.windows[:600] = 8
    rows.targets[:600] = 0
    rows.logits[:600] += 12  # long texts that are hard, all of them
    fitted = calibrate(rows)
    for column, category in enumerate(CATEGORIES):
        chance, _ = platt(rows.logits[600:, 0, column], rows.targets[600:, column], category)
        assert fitted.window_penalties[category] == pytest.approx(chance)


def test_a_score_of_several_views_is_the_served_one_to_the_last_bit(tmp_path: Path) -> None:
    fitted = Calibration(
        temperatures=dict.fromkeys(CATEGORIES, 1.7),
        biases=dict.fromkeys(CATEGORIES, -0.3),
        window_penalties=dict.fromkeys(CATEGORIES, 1.08),
        operating_points={},
    )
    manifest = dataclasses.replace(
        load_bundle(build_tiny_bundle(tmp_path / "tiny")).manifest,
        temperatures=fitted.temperatures,
        biases=fitted.biases,
        window_penalties=fitted.window_penalties,
    )
    rng = np.random.default_rng(0)
    for windows in ([1, 1], [7, 2], [3, 90]):
        views = ["main"] * windows[0] + ["decoded"] * windows[1]
        rows = rng.normal(size=(len(views), len(CATEGORIES))).astype(np.float32)
        highest = np.array([[rows[: windows[0]].max(0), rows[windows[0] :].max(0)]], dtype=np.float64)
        paid = aggregate.paying(views)
        served = aggregate.scores(aggregate.lowered(rows, views, manifest), manifest)
        for column, category in enumerate(CATEGORIES):
            found = fitted.scores(category, highest[:, :, column], np.array([[paid[0], paid[-1]]]))
            assert found.tolist() == [served[category]]


def test_without_benign_rows_there_is_no_threshold() -> None:
    rows = scored()
    rows.targets[:, 0] = 1 - rows.targets[:, 1]
    with pytest.raises(CalibrationError, match="benign"):
        calibrate(rows)


def test_a_head_without_positives_or_that_ranks_backwards_is_refused() -> None:
    rows = scored()
    rows.targets[:, 3] = 0
    with pytest.raises(CalibrationError, match="self-harm"):
        calibrate(rows)
    with pytest.raises(CalibrationError, match="injection"):
        calibrate(scored(slope=-2.0))
