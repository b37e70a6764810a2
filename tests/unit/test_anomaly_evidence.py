"""Evidence from scores, and fingerprints from embeddings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import CATEGORIES, HARM_CATEGORIES, Category
from serving.anomaly.evidence import weigh_scores
from serving.anomaly.fingerprint import fingerprint, hashed

POINTS = {"fpr_5%": 0.4, "fpr_1%": 0.7, "fpr_0.1%": 0.9}
THRESHOLDS = {point: dict.fromkeys(CATEGORIES, threshold) for point, threshold in POINTS.items()}


def scores(injection: float = 0.01, harm: float = 0.01) -> dict[Category, float]:
    return dict.fromkeys(HARM_CATEGORIES, harm) | {Category.INJECTION: injection}


@pytest.mark.parametrize(("score", "evidence"), [(0.4, 0.9), (0.7, 1.0), (0.9, 1.0), (0.999, 1.0), (0.05, 0.0)])
def test_evidence_of_injection_is_that_of_the_operating_points(score: float, evidence: float) -> None:
    assert weigh_scores(scores(score), THRESHOLDS).injection == pytest.approx(evidence)


@pytest.mark.parametrize(("score", "evidence"), [(0.5, 0.0), (0.7, 0.0), (0.9, 0.8), (0.99, 1.0)])
def test_evidence_of_harm_begins_where_one_clean_text_in_a_hundred_is(score: float, evidence: float) -> None:
    assert weigh_scores(scores(harm=score), THRESHOLDS).harm == pytest.approx(evidence)


@pytest.mark.parametrize(
    ("score", "near"), [(0.69, True), (0.5, True), (0.39, True), (0.72, False), (0.05, False), (0.95, False)]
)
def test_just_under_an_operating_point_is_near_it_and_over_it_is_not(score: float, near: bool) -> None:
    one = {"fpr_5%": THRESHOLDS["fpr_5%"], "fpr_1%": THRESHOLDS["fpr_1%"]}
    assert weigh_scores(scores(score), one).near_threshold is near


def test_the_highest_of_the_harms_counts() -> None:
    assert weigh_scores(scores() | {Category.VIOLENCE: 0.99}, THRESHOLDS).harm == 1


def test_a_score_that_is_no_number_counts_as_the_highest() -> None:
    seen = weigh_scores(scores(math.nan, math.nan), THRESHOLDS)
    assert (seen.injection, seen.harm) == (1, 1)


def test_a_model_without_operating_points_accuses_nobody() -> None:
    seen = weigh_scores(scores(1, 1), {})
    assert (seen.injection, seen.harm, seen.near_threshold) == (0, 0, False)


@given(st.floats(0, 1), st.floats(0, 1))
def test_evidence_grows_with_the_score_within_its_bounds(one: float, other: float) -> None:
    less, more = (weigh_scores(scores(score, score), THRESHOLDS) for score in sorted((one, other)))
    assert 0 <= less.injection <= more.injection <= 1
    assert 0 <= less.harm <= more.harm <= 1


def turned(degrees: float, seed: int, size: int = 384) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    one = dice.normal(size=size)
    one /= np.linalg.norm(one)
    away = dice.normal(size=size)
    away -= away @ one * one
    away /= np.linalg.norm(away)
    angle = math.radians(degrees)
    return one.astype(np.float32), (math.cos(angle) * one + math.sin(angle) * away).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 10, 45, 90, 180])
def test_bits_that_differ_tell_the_angle(degrees: float) -> None:
    pairs = [turned(degrees, seed) for seed in range(20)]
    bits = [(fingerprint(one) ^ fingerprint(other)).bit_count() for one, other in pairs]
    assert sum(bits) / len(bits) == pytest.approx(64 * degrees / 180, abs=3)


def test_a_fingerprint_is_the_same_in_every_process_and_none_is_zero() -> None:
    assert fingerprint(np.ones(16, np.float32)) == 0xABAB_679B_64B2_E51E
    assert fingerprint(np.zeros(16, np.float32)) == 0
    assert fingerprint(np.zeros(0, np.float32)) == 0


def test_names_hash_apart_and_never_to_none() -> None:
    names = [f"key_{number}" for number in range(1000)] + ["", "\ud800"]
    assert len({hashed(name) for name in names}) == len(names)
    assert all(hashed(name) for name in names)
