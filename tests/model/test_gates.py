"""The parity gate lets rounding pass and stops a graph that decides differently."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.schema import CATEGORIES
from training.gates import LIMITS, GateError, ParityLimits, check_long_attacks, check_parity

LENIENT = ParityLimits(max_difference=1, mean_difference=1, flips=1, auc_drop=1)
POINTS = {"fpr_1%": [0.5] * 7, "fpr_5%": [0.3] * 7}


def scores(rows: int = 200) -> np.ndarray:
    return np.random.default_rng(3).random((rows, 7))


def test_equal_scores_pass_the_strictest_limits() -> None:
    report = check_parity(scores(), scores(), POINTS, ParityLimits(0, 0, 0, 0))
    assert (report.texts, report.max_difference, report.auc_drop) == (200, 0.0, None)


def test_rounding_passes_as_fp32() -> None:
    assert check_parity(scores(), scores() + 1e-7, POINTS, "fp32").max_difference < 1e-6


def test_the_report_is_json_and_holds_its_limits() -> None:
    report = json.loads(json.dumps(check_parity(scores(), scores(), POINTS, "int8").as_dict()))
    assert report["limits"]["flips"] == LIMITS["int8"].flips
    assert set(report["flips"]) == set(POINTS)
    assert set(report["flips"]["fpr_1%"]) == {category.value for category in CATEGORIES}


def test_one_text_that_moves_far_is_named_with_its_category() -> None:
    moved = scores()
    moved[7, 3] = abs(moved[7, 3] - 0.6)
    limits = ParityLimits(max_difference=0.1, mean_difference=1, flips=1, auc_drop=1)
    with pytest.raises(GateError, match=r"largest score difference \(self-harm\) .*limit 0\.1"):
        check_parity(scores(), moved, POINTS, limits)


def test_flips_are_counted_per_category_and_point_though_scores_hardly_move() -> None:
    before = np.full((100, 7), 0.9)
    before[:4, 1] = 0.501
    after = before.copy()
    after[:4, 1] = 0.499
    limits = ParityLimits(max_difference=0.01, mean_difference=0.01, flips=0.03, auc_drop=1)
    with pytest.raises(
        GateError, match=r"^parity over 100 texts: share of flipped decisions for hate at fpr_1% 0\.04, limit 0\.03$"
    ):
        check_parity(before, after, POINTS, limits)
    assert check_parity(before, after, POINTS, LENIENT).flips["fpr_5%"]["hate"] == 0.0


def test_a_score_at_the_threshold_counts_as_flagged() -> None:
    report = check_parity(np.full((10, 7), 0.5), np.full((10, 7), 0.51), {"p": [0.5] * 7}, LENIENT)
    assert report.flips["p"]["injection"] == 0.0


def test_a_small_drift_of_every_score_is_stopped_by_the_mean() -> None:
    limits = ParityLimits(max_difference=1, mean_difference=0.01, flips=1, auc_drop=1)
    with pytest.raises(GateError, match=r"mean score difference 0\.02, limit 0\.01"):
        check_parity(scores() * 0.9, scores() * 0.9 + 0.02, POINTS, limits)


def test_a_loss_of_ranking_is_stopped_where_labels_know_of_it() -> None:
    before = np.tile(np.linspace(0.1, 0.9, 10)[:, None], 7)
    after = before.copy()
    after[[4, 5], 0] = after[[5, 4], 0]
    targets = np.tile(np.array([0.0] * 5 + [1.0] * 5)[:, None], 7)
    limits = ParityLimits(max_difference=1, mean_difference=1, flips=1, auc_drop=0.03, auc_drop_scarce=0.05)
    check_parity(before, after, POINTS, limits, targets)  # five positives: an AUC that one text moves by .04
    many = [np.repeat(rows, 40, axis=0) for rows in (before, after, targets)]
    with pytest.raises(GateError, match=r"drop of AUC for injection 0\.04, limit 0\.03"):
        check_parity(many[0], many[1], POINTS, limits, many[2])
    worse = after.copy()
    worse[[4, 5], 1:] = worse[[5, 4], 1:]
    assert check_parity(worse, before, POINTS, limits, targets).auc_drop == pytest.approx(-0.04)


def test_every_figure_beyond_its_limit_is_named_at_once() -> None:
    with pytest.raises(GateError) as refused:
        check_parity(np.zeros((10, 7)), np.ones((10, 7)), POINTS, "int8")
    assert str(refused.value).count("limit") == 2 + 2 * 7


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (np.zeros((0, 7)), np.zeros((0, 7)), "no text"),
        (np.zeros((3, 7)), np.zeros((4, 7)), "shapes"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "shapes"),
        (np.zeros((3, 7)), np.full((3, 7), np.nan), "candidate: 21 scores are not finite"),
        (np.full((3, 7), np.inf), np.zeros((3, 7)), "reference: 21 scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(before: np.ndarray, after: np.ndarray, complaint: str) -> None:
    with pytest.raises(GateError, match=complaint):
        check_parity(before, after, POINTS, LENIENT)


def test_a_point_with_too_few_thresholds_is_refused() -> None:
    with pytest.raises(GateError, match="fpr_1% has 2 thresholds for 7 categories"):
        check_parity(scores(), scores(), {"fpr_1%": [0.5, 0.5]}, LENIENT)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_threshold_that_no_score_can_be_compared_with_is_refused(wrong: float) -> None:
    with pytest.raises(GateError, match="fpr_1%: 1 thresholds are not finite"):
        check_parity(scores(), scores(), {"fpr_1%": [0.5] * 6 + [wrong]}, LENIENT)


def test_without_an_operating_point_there_is_no_decision_to_compare() -> None:
    with pytest.raises(GateError, match="no operating point"):
        check_parity(scores(), scores(), {}, LENIENT)


@pytest.mark.parametrize("only", [0.0, 1.0, np.nan])
def test_labels_that_cannot_rank_a_head_are_refused_by_its_name(only: float) -> None:
    targets = np.tile(np.array([0.0, 1.0] * 100)[:, None], 7)
    targets[:, [2, 6]] = only
    with pytest.raises(GateError, match="no loss of AUC can be measured for harassment, illicit"):
        check_parity(scores(), scores(), POINTS, LENIENT, targets)


@pytest.mark.parametrize(
    ("targets", "complaint"),
    [
        (np.zeros((199, 7)), r"targets of shape \(199, 7\), scores of \(200, 7\)"),
        (np.full((200, 7), 0.5), "1400 targets are neither 0, 1 nor unknown"),
    ],
)
def test_targets_that_are_none_are_refused(targets: np.ndarray, complaint: str) -> None:
    with pytest.raises(GateError, match=complaint):
        check_parity(scores(), scores(), POINTS, LENIENT, targets)


def test_a_bundle_that_length_hides_attacks_from_is_refused() -> None:
    """The second model found none of 42 validation attacks of four windows and more, and no figure said so."""
    windows = np.repeat([1, 6], 40)
    found = np.where(windows == 1, 0.99, 0.5)
    with pytest.raises(GateError, match=r"0\.000 of long attacks"):
        check_long_attacks(found, windows, np.ones(80), 0.9)
    assert check_long_attacks(np.full(80, 0.99), windows, np.ones(80), 0.9) == {"short": 1.0, "long": 1.0}
    assert check_long_attacks(found[:50], windows[:50], np.ones(50), 0.9) == {"short": 1.0}
