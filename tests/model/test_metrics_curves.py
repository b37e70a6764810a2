"""Curves, areas, points and intervals on cases small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from training.metrics.curves import (
    area_under_roc,
    average_precision,
    bootstrap,
    draw_curve,
    equal_group_weights,
    operating_point,
    order_scores,
    recall_at,
    wilson,
)

# positives .9 .6 .4, negatives .8 .5 .3 .1
SCORES = [0.9, 0.8, 0.6, 0.5, 0.4, 0.3, 0.1]
LABELS = [1, 0, 1, 0, 1, 0, 0]


def test_area_counts_the_pairs_in_the_right_order() -> None:
    # .9 beats 4 negatives, .6 beats 3, .4 beats 2: 9 of 12
    assert area_under_roc(draw_curve(SCORES, LABELS)) == pytest.approx(9 / 12)


def test_average_precision_sums_precision_at_every_positive() -> None:
    assert average_precision(draw_curve(SCORES, LABELS)) == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_equal_scores_count_half_whatever_their_order() -> None:
    for labels in ([1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]):
        curve = draw_curve([0.5] * 4, labels)
        assert area_under_roc(curve) == pytest.approx(0.5)
        assert average_precision(curve) == pytest.approx(0.5)


def test_a_point_catches_all_it_can_without_exceeding_its_rate() -> None:
    curve = draw_curve(SCORES, LABELS)
    none_allowed, one_of_four = operating_point(curve, 0.0), operating_point(curve, 0.25)
    assert (none_allowed.threshold, none_allowed.recall, none_allowed.fpr) == (0.9, pytest.approx(1 / 3), 0.0)
    assert (one_of_four.threshold, one_of_four.recall, one_of_four.fpr) == (0.6, pytest.approx(2 / 3), 0.25)
    assert recall_at(curve, 0.25) == pytest.approx(2 / 3)
    assert operating_point(curve, 0.24).recall == pytest.approx(1 / 3)


def test_a_tie_with_a_forbidden_negative_is_not_caught() -> None:
    point = operating_point(draw_curve([0.9, 0.9, 0.2], [1, 0, 0]), 0.0)
    assert (point.threshold, point.recall, point.fpr) == (float("inf"), 0.0, 0.0)


def test_exactly_one_per_cent_is_allowed_in_spite_of_rounding() -> None:
    sources = np.array([name for name in "abcdefg" for _ in range(100)] + ["a"])
    positive = np.array([False] * 700 + [True])
    scores = np.concatenate([np.tile(np.append(np.zeros(99), 0.9), 7), [0.9]])
    curve = draw_curve(scores, positive, equal_group_weights(sources, positive))
    assert recall_at(curve, 0.01) == 1.0


def test_every_source_has_the_same_say_however_many_rows_it_has() -> None:
    sources = ["big"] * 90 + ["small"] * 10 + ["attack"]
    positive = [False] * 100 + [True]
    # every row of the small source outranks the attack: half the weight, a tenth of the rows
    scores = [0.0] * 90 + [0.9] * 10 + [0.5]
    weights = equal_group_weights(sources, positive)
    assert area_under_roc(draw_curve(scores, positive, weights)) == pytest.approx(0.5)
    assert area_under_roc(draw_curve(scores, positive)) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("scores", "labels", "complaint"),
    [
        ([0.1, float("nan")], [0, 1], "1 of 2 scores are NaN"),
        ([0.1, 0.2], [1, 1], "both classes"),
        ([0.1, 0.2], [0, 0], "both classes"),
        ([0.1, 0.2], [0], "one length"),
    ],
)
def test_what_has_no_rank_is_refused(scores: list[float], labels: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        order_scores(scores, labels)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(1, 5)), min_size=2, max_size=60).filter(
        lambda rows: 0 < sum(positive for _, positive, _ in rows) < len(rows)
    )
)
def test_areas_agree_with_scikit_learn_under_weights_and_ties(rows: list[tuple[int, bool, int]]) -> None:
    scores, labels, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    curve = draw_curve(scores, labels, weights)
    assert area_under_roc(curve) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert average_precision(curve) == pytest.approx(average_precision_score(labels, scores, sample_weight=weights))


def test_intervals_hold_the_figure_repeat_by_seed_and_narrow_with_rows() -> None:
    def figure_and_interval(rows: int, seed: int) -> tuple[float, tuple[float, float]]:
        labels = np.arange(rows) % 2
        scores = np.random.default_rng(7).normal(size=rows) + labels
        order = order_scores(scores, labels)
        found = bootstrap(order, labels, np.ones(rows), {"auc": area_under_roc}, replicates=120, seed=seed)
        return float(area_under_roc(order.curve(np.ones(rows)))), found["auc"]

    (few, (few_low, few_high)), (many, (many_low, many_high)) = figure_and_interval(60, 1), figure_and_interval(3000, 1)
    assert figure_and_interval(60, 1) == (few, (few_low, few_high))
    assert figure_and_interval(60, 2) != (few, (few_low, few_high))
    assert few_low < few < few_high
    assert many_low < many < many_high
    assert many_high - many_low < (few_high - few_low) / 3


def test_no_replicate_loses_a_class_or_a_source() -> None:
    scores, labels, strata = [0.9, 0.2, 0.1], [1, 0, 0], ["a+", "a-", "b-"]
    order = order_scores(scores, labels)
    found = bootstrap(order, strata, np.ones(3), {"auc": area_under_roc}, replicates=50, seed=0)
    assert found["auc"] == (1.0, 1.0)


def test_wilson_matches_published_values_and_stays_inside_zero_and_one() -> None:
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 100) == (0.0, pytest.approx(0.0370, abs=1e-4))
    assert wilson(100, 100) == (pytest.approx(0.9630, abs=1e-4), 1.0)
    assert wilson(0, 0) == (0.0, 1.0)
