import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from data.schema import CATEGORIES, Category
from models import aggregate
from models.bundle import Manifest, load_bundle
from models.classifier import batches
from tests.tiny_bundle import build_tiny_bundle


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    loaded = load_bundle(build_tiny_bundle(tmp_path / "tiny")).manifest
    return dataclasses.replace(
        loaded,
        temperatures=dict.fromkeys(CATEGORIES, 2.0),
        biases=dict.fromkeys(CATEGORIES, 0.5),
        window_penalties=dict.fromkeys(CATEGORIES, 0.25),
    )


def logits(*rows: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[row] * len(CATEGORIES) for row in rows], dtype=np.float32)


def scores(
    rows: np.ndarray[tuple[int, int], np.dtype[np.float32]], manifest: Manifest, *views: str
) -> Mapping[Category, float]:
    return aggregate.scores(aggregate.lowered(rows, views or ("main",) * len(rows), manifest), manifest)


def test_a_score_is_the_calibrated_highest_logit_less_the_penalty(manifest: Manifest) -> None:
    score = scores(logits(-1.0, 3.0, 1.0), manifest)[Category.HATE]
    assert score == pytest.approx(1 / (1 + math.exp(-((3.0 - 0.25 * math.log(3)) / 2.0 + 0.5))))


def test_one_window_pays_no_penalty(manifest: Manifest) -> None:
    score = scores(logits(1.0), manifest)[Category.INJECTION]
    assert score == pytest.approx(1 / (1 + math.exp(-1.0)))


def test_more_windows_of_the_same_logit_never_raise_a_score(manifest: Manifest) -> None:
    found = [scores(logits(*[1.0] * n), manifest)[Category.INJECTION] for n in (1, 2, 8, 64)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_what_is_hidden_in_a_long_code_does_not_pay_for_its_length(manifest: Manifest) -> None:
    hidden = scores(logits(-9.0, -9.0, -9.0, 2.0), manifest, "main", "main", "main", "decoded")
    assert hidden[Category.INJECTION] == scores(logits(2.0), manifest)[Category.INJECTION]


@pytest.mark.parametrize("view", ["alternate", "decoded"])
def test_a_view_padded_for_itself_pays_no_more_than_the_text(manifest: Manifest, view: str) -> None:
    padded = scores(logits(-9.0, 2.0, *[-9.0] * 7), manifest, "main", *[view] * 8)
    assert padded[Category.INJECTION] == scores(logits(2.0), manifest)[Category.INJECTION]


def test_one_window_that_differs_in_a_long_text_is_no_short_text(manifest: Manifest) -> None:
    changed = scores(logits(*[-9.0] * 8, 2.0), manifest, *["main"] * 8, "alternate")
    assert changed[Category.INJECTION] == scores(logits(*[2.0] * 8), manifest)[Category.INJECTION]


def test_a_higher_logit_that_pays_more_may_lose(manifest: Manifest) -> None:
    found = scores(logits(2.1, -9.0, -9.0, 2.0), manifest, "main", "main", "main", "decoded")
    assert found[Category.HATE] == scores(logits(2.0), manifest)[Category.HATE]


def test_each_category_has_its_own_column_and_highest_window(manifest: Manifest) -> None:
    rows = np.full((2, len(CATEGORIES)), -9.0, dtype=np.float32)
    rows[0, CATEGORIES.index(Category.HATE)] = 5.0
    rows[1, CATEGORIES.index(Category.ILLICIT)] = 5.0
    found = scores(rows, manifest)
    assert {category for category, score in found.items() if score > 0.5} == {Category.HATE, Category.ILLICIT}


@pytest.mark.parametrize(("logit", "score"), [(-1e30, 0.0), (1e30, 1.0)])
def test_extreme_logits_do_not_overflow(manifest: Manifest, logit: float, score: float) -> None:
    assert set(scores(logits(logit), manifest).values()) == {score}


def test_without_a_token_limit_every_row_is_its_own_batch() -> None:
    assert batches([5, 3, 9], 0) == [[0], [1], [2]]


def test_batches_hold_neighbours_in_length_within_the_limit_and_every_row_once() -> None:
    lengths = [7, 100, 8, 3, 90, 4, 30]
    groups = batches(lengths, 64)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert [[lengths[row] for row in group] for group in groups] == [[3, 4, 7, 8], [30], [90], [100]]
