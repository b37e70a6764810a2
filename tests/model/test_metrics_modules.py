"""The modules of the evaluate library load from the path, with no network, and count rightly."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from training.metrics import Metrics, load_metrics

SCORES = [0.9, 0.8, 0.6, 0.5, 0.4, 0.3, 0.1]
LABELS = [1, 0, 1, 0, 1, 0, 0]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    def refuse(*_: object) -> None:
        raise AssertionError("a local metric asked the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        return load_metrics(tmp_path_factory.mktemp("metrics"))


def test_ranking_gives_both_areas(metrics: Metrics) -> None:
    found = metrics.ranking.compute(predictions=SCORES, references=LABELS)
    assert found == {"auc": pytest.approx(0.75), "auprc": pytest.approx((1 + 2 / 3 + 3 / 5) / 3)}


def test_ranking_takes_weights(metrics: Metrics) -> None:
    # the negative at .8 weighs nothing, so two of three negatives remain for .6, two for .4
    found = metrics.ranking.compute(predictions=SCORES, references=LABELS, sample_weight=[1, 0, 1, 1, 1, 1, 1])
    assert found["auc"] == pytest.approx((3 + 3 + 2) / 9)


def test_recall_at_fpr_answers_each_rate_in_order(metrics: Metrics) -> None:
    found = metrics.recall_at_fpr.compute(predictions=SCORES, references=LABELS, fprs=[0.25, 0.0])
    assert found["threshold"] == [0.6, 0.9]
    assert found["recall"] == pytest.approx([2 / 3, 1 / 3])
    assert found["fpr"] == [0.25, 0.0]


def test_pooled_recall_averages_sets_and_weighs_benign_sources_alike(metrics: Metrics) -> None:
    # attack set a: .9 and .2 (half caught over .5), attack set b: .7 (all caught): mean .75, not 2 of 3
    found = metrics.pooled_recall.compute(
        predictions=[0.9, 0.2, 0.7, 0.5, 0.1, 0.1, 0.1, 0.3],
        references=[1, 1, 1, 0, 0, 0, 0, 0],
        sources=["a", "a", "b", "c", "c", "c", "c", "d"],
        fprs=[0.0, 0.125],
    )
    assert found["recall"] == pytest.approx([0.75, 0.75])
    assert found["threshold"] == [0.7, 0.5]
    assert found["fpr"] == pytest.approx([0.0, 0.125])


def test_a_missing_score_is_an_error_and_not_a_rank(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="NaN"):
        metrics.ranking.compute(predictions=[float("nan"), 0.1], references=[1, 0])


def test_copies_and_locks_stay_in_the_given_folder(tmp_path: Path) -> None:
    load_metrics(tmp_path)
    assert list((tmp_path / "modules").rglob("pooled_recall.py"))
