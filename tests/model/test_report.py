"""The report on a small world whose figures are known, the page, and the model card."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.schema import CATEGORIES
from models.bundle import BundleError, load_bundle
from tests.tiny_bundle import build_tiny_bundle
from training import model_card
from training.benchmarks import ATTACK_SETS, build_report
from training.measure import Sampling
from training.metrics import Metrics, load_metrics
from training.report import render_page, summary
from training.rows import ScoredRows, ScoringFacts
from training.targets import row_targets

Row = tuple[str, str, float, float]  # source, kind, injection score, hate score


def scored(rows: list[Row], harms: list[str] | None = None) -> ScoredRows:
    source, kind, injection, hate = zip(*rows, strict=True)
    scores = np.zeros((len(rows), len(CATEGORIES)))
    scores[:, 0], scores[:, 1] = injection, hate
    return ScoredRows(
        ids=[str(number) for number in range(len(rows))],
        source=np.array(source),
        kind=np.array(kind),
        targets=np.array(
            [row_targets(s, k or None, (harms or ["hate"]) if k == "harm" else [], None) for s, k, *_ in rows]
        ),
        scores=scores,
        tokens=np.arange(len(rows)) * 10,
        windows=np.ones(len(rows), dtype=np.int64),
        facts=ScoringFacts("tiny-1", "none", "none", {}, {category.value: 0.5 for category in CATEGORIES}),
    )


def world() -> ScoredRows:
    """Seven attack sets of which six are caught; two benign sources; harm that must not count as injection."""
    rows: list[Row] = [(name, "injection", 0.1 if name == "bipia" else 0.9, 0.0) for name in ATTACK_SETS]
    rows += [("notinject", "benign", 0.2, 0.0)] * 98 + [("notinject", "benign", 0.6, 0.0)] * 2
    rows += [("calm", "benign", 0.05, 0.0)] * 5
    rows += [("xstest_v2", "harm", 0.99, 0.8)] * 3 + [("xstest_v2", "harm", 0.0, 0.1)]
    rows += [("xstest_v2", "benign", 0.0, 0.7)] + [("xstest_v2", "benign", 0.0, 0.2)] * 3
    return scored(rows)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    return load_metrics(tmp_path_factory.mktemp("metrics"))


@pytest.fixture(scope="module")
def report(metrics: Metrics) -> dict[str, Any]:
    facts = {"schema": 1, "command": "evaluate <b>", "bundle": "tiny-1", "commit": "none", "data_hash": "none"}
    return facts | build_report(world(), metrics, Sampling(20, 0))


def test_the_headline_is_one_pooled_threshold_and_a_mean_over_attack_sets(report: dict[str, Any]) -> None:
    head = report["headline"]
    assert head["comparable"]
    assert head["benign_sources"] == ["calm", "notinject", "xstest_v2"]
    found = head["all_rows"]
    # 2 of 100 in one of three sources is 0.67 %: allowed at 1 %, not at 0.1 %; all six strong sets are over both
    assert found["recall_at_fpr"]["1%"]["value"] == pytest.approx(6 / 7, abs=1e-5)
    assert found["recall_at_fpr"]["0.1%"]["value"] == pytest.approx(6 / 7, abs=1e-5)
    assert report["pooled"]["injection"]["at"]["0.1%"]["threshold"] == 0.9
    assert found["served"] == {"recall": pytest.approx(6 / 7, abs=1e-5), "fpr": pytest.approx(0.02 / 3, abs=1e-5)}
    # bipia's attack outranks calm and xstest's benign rows, a weight of two thirds
    assert found["auc"]["value"] == pytest.approx((6 + 2 / 3) / 7, abs=1e-5)


def test_plain_harm_is_no_part_of_the_injection_figures(report: dict[str, Any]) -> None:
    assert report["pooled"]["injection"]["negatives"] == 100 + 5 + 4
    assert report["sets"]["xstest_v2"]["heads"]["injection"]["positives"] == 0


def test_a_set_without_negatives_has_pooled_figures_only(report: dict[str, Any]) -> None:
    found = report["sets"]["injecagent"]["heads"]["injection"]
    assert found["own"] is None
    assert found["pooled"]["1%"]["recall"]["value"] == 1.0
    assert found["pooled"]["1%"]["fpr"] is None


def test_over_defence_counts_injection_flags_with_their_interval(report: dict[str, Any]) -> None:
    found = report["over_defence"]["notinject"]["injection"]
    assert (found["count"], found["of"], found["value"]) == (2, 100, 0.02)
    assert found["low"] < 0.02 < found["high"]


def test_xstest_counts_any_flag(report: dict[str, Any]) -> None:
    found = report["harm"]["xstest_v2"]
    assert (found["unsafe_flagged"]["value"], found["safe_flagged"]["value"]) == (0.75, 0.25)


def test_length_buckets_hold_every_row_once(report: dict[str, Any]) -> None:
    served = [bucket["served"] for bucket in report["lengths"]["injection"]]
    assert sum(rate["fpr"]["of"] for rate in served if rate["fpr"]) == 109
    assert sum(rate["recall"]["of"] for rate in served if rate["recall"]) == 7


def test_openai_moderation_averages_over_the_annotated_categories_only(metrics: Metrics) -> None:
    rows = [("openai_moderation_1680", "harm", 0.0, 0.9), ("openai_moderation_1680", "benign", 0.0, 0.1)] * 2
    world = scored(rows)
    targets = np.full((4, 7), np.nan)
    targets[:, 1], targets[:, 4] = [1, 0, 1, 0], [0, 1, np.nan, np.nan]
    found = build_report(replace(world, targets=targets), metrics, Sampling(10, 0))["harm"]["openai_moderation_1680"]
    assert found["auprc"] == {"hate": 1.0, "sexual": 0.5}
    assert found["macro_auprc"] == 0.75


def test_hatecheck_accuracy_is_over_both_classes(metrics: Metrics) -> None:
    rows = (
        [("hatecheck", "harm", 0.0, 0.9)] * 3 + [("hatecheck", "harm", 0.0, 0.1)] + [("hatecheck", "benign", 0.0, 0.9)]
    )
    found = build_report(scored(rows), metrics, Sampling(10, 0))["harm"]["hatecheck"]
    assert found["accuracy"]["value"] == 0.6


def test_rows_without_a_score_are_counted_and_left_out(metrics: Metrics, report: dict[str, Any]) -> None:
    rows = world()
    rows.scores[0] = np.nan  # the missed attack
    found = build_report(rows, metrics, Sampling(10, 0))
    assert (found["unscored"], found["headline"]["comparable"]) == (1, False)
    assert found["headline"]["all_rows"]["recall_at_fpr"]["1%"]["value"] == 1.0


def test_a_perfectly_split_head_is_badly_calibrated_if_its_scores_are_timid(report: dict[str, Any]) -> None:
    bins = report["reliability"]["hate"]["bins"]
    assert sum(item["rows"] for item in bins) == 113
    assert 0 < report["reliability"]["hate"]["ece"] < 1


def test_the_report_is_plain_json_and_repeats(metrics: Metrics, report: dict[str, Any]) -> None:
    again = build_report(world(), metrics, Sampling(20, 0))
    assert json.loads(json.dumps(again, allow_nan=False)) == {name: report[name] for name in again}


def test_the_page_escapes_repeats_and_loads_nothing_from_elsewhere(report: dict[str, Any]) -> None:
    page = render_page(report, world())
    assert page == render_page(report, world())
    assert "evaluate &lt;b&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.count("<img") == 5


def test_the_summary_names_the_headline(report: dict[str, Any]) -> None:
    assert "recall 0.857 at 1 % FP" in summary(report)
    assert "notinject: 2.0 % flagged as injection" in summary(report)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return build_tiny_bundle(tmp_path / "tiny")


def test_the_card_holds_figures_failures_data_and_command(bundle: Path, report: dict[str, Any]) -> None:
    dataset = {
        "splits": {
            "train": {"rows": 1200, "targets": {"hate": {"positive": 7, "negative": 5, "masked": 0}}},
            "validation": {"rows": 100},
        },
        "sources": {
            "ours": {"rows": 9, "kinds": {"benign": 9}, "licence": "MIT", "origin": "us"},
            "unused": {"rows": 0, "kinds": {}, "licence": "?", "origin": "?"},
        },
    }
    card = model_card.render_card(model_card.manifest_fields(load_bundle(bundle).manifest), report, dataset)
    assert re.search(r"\| notinject \| 2\.0 % \[0\.[56]-7\.0\] \|", card)
    assert "Of bipia, 0.0 % is caught at 1 % false positives." in card
    assert "Of the benign texts of notinject, 2.0 % is flagged as injection, as served." in card
    assert "    evaluate <b>" in card
    assert "| ours | 9 | 9 benign | MIT | us |" in card
    assert "unused" not in card
    assert "| injection | 0.9000 | 0.7000 | 0.4000 |" in card
    assert "\n\n\n" not in card


def test_the_card_names_the_code_of_each_step_and_where_it_was_changed(tmp_path: Path) -> None:
    commits = {"data": "1" * 40, "training": f"{'2' * 40}, {'3' * 40}", "export": "4" * 40 + "-dirty"}
    made = build_tiny_bundle(tmp_path / "made", commit="4" * 40 + "-dirty", commits=commits)
    card = model_card.render_card(model_card.manifest_fields(load_bundle(made).manifest), None)
    assert "from commit `4444444-dirty` |\n| code | data `1111111`, export `4444444-dirty`, training " in card
    assert "training `2222222, 3333333` |\n| encoder |" in card


def test_a_card_without_a_report_claims_nothing(bundle: Path) -> None:
    card = model_card.render_card(model_card.manifest_fields(load_bundle(bundle).manifest), None)
    assert "Not measured yet" in card
    assert "95 %" not in card


def test_a_measured_bundle_verifies_and_carries_its_card_and_figures(
    bundle: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(json.dumps(report))
    arguments = [
        "--bundle",
        str(bundle),
        "--report",
        str(tmp_path / "report.json"),
        "--out",
        str(tmp_path / "measured"),
    ]
    assert model_card.main(arguments) == 0
    measured, before = load_bundle(tmp_path / "measured"), load_bundle(bundle)
    assert measured.manifest.version == before.manifest.version
    assert measured.manifest.files["model.onnx"] == before.manifest.files["model.onnx"]
    assert b"2.0 %" in measured.read("MODEL_CARD.md")
    assert measured.manifest.metrics["evaluation"]["headline"]["comparable"] is True  # type: ignore[index,call-overload]


def test_a_report_of_another_model_is_refused(bundle: Path, report: dict[str, Any], tmp_path: Path) -> None:
    other = copy.deepcopy(report) | {"bundle": "tiny-2"}
    with pytest.raises(BundleError, match="the report is of tiny-2, the bundle is tiny-1"):
        model_card.measured(load_bundle(bundle), other, None, tmp_path / "out")
