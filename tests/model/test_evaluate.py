"""Evaluation end to end on a tiny real bundle: what is read, scored, written, and refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.schema import CATEGORIES
from models.bundle import load_bundle
from models.classifier import Classifier
from tests.tiny_bundle import ATTACK, CLEAN, build_tiny_bundle
from training import evaluate
from training.rows import RowsError, read_rows, read_scores, sample_rows, served_thresholds
from training.scoring import Progress, score_texts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("store") / "tiny")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    attacks = {
        "id": [f"a{n}" for n in range(6)],
        "text": [ATTACK] * 5 + [CLEAN],
        "source": ["attacks"] * 6,
        "kind": ["injection"] * 5 + ["jailbreak"],
    }
    benign = {
        "id": [f"b{n}" for n in range(10)],
        "text": [CLEAN] * 9 + [ATTACK],
        "source": ["calm"] * 10,
        "kind": ["benign"] * 10,
    }
    pq.write_table(pa.table(attacks), folder / "attacks.parquet")
    pq.write_table(pa.table(benign), folder / "benign.parquet")
    return folder


def run(tmp_path: Path, *arguments: object) -> tuple[int, Path, Path]:
    scores, report = tmp_path / "out" / "scores.parquet", tmp_path / "out" / "report.json"
    options = ["--scores", scores, "--report", report, "--replicates", 20]
    return evaluate.main([str(item) for item in (*arguments, *options)]), scores, report


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_row_per_text_in_order_with_the_scores_of_the_served_path(
    bundle: Path, corpus: Path, tmp_path: Path
) -> None:
    status, scores, _ = run(tmp_path, "--bundle", bundle, "--data", corpus)
    table = pq.read_table(scores)
    assert status == 0
    assert table.column_names[:3] == ["id", "source", "kind"]
    assert table.column_names[3:11] == [*(f"score_{category}" for category in CATEGORIES), "flagged"]
    assert table["id"].to_pylist() == [f"a{n}" for n in range(6)] + [f"b{n}" for n in range(10)]
    served = Classifier.load(load_bundle(bundle)).predict([ATTACK])[0]
    assert [table[f"score_{category}"][0].as_py() for category in CATEGORIES] == list(served.scores.values())
    assert table["flagged"].to_pylist() == [True] * 5 + [False] * 10 + [True]


def test_the_report_counts_by_hand(
    bundle: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, path = run(tmp_path, "--bundle", bundle, "--data", corpus)
    report = json.loads(path.read_text())
    injection = report["pooled"]["injection"]
    assert (injection["positives"], injection["negatives"]) == (6, 10)
    # 5 attacks tie with the one flagged benign text (half a win each of 10), the sixth ties with the nine others
    assert injection["auc"]["value"] == pytest.approx((5 * 9.5 + 1 * 4.5) / 60, abs=1e-5)
    assert injection["served"] == {
        "recall": pytest.approx(5 / 6, abs=1e-5),
        "fpr": 0.1,
        "recall_by_set": injection["served"]["recall_by_set"],
        "fpr_by_source": injection["served"]["fpr_by_source"],
    }
    assert injection["at"]["5%"]["recall"]["value"] == 0.0
    assert report["headline"]["comparable"] is False
    assert "compare with no published figure" in capsys.readouterr().out


def test_a_report_from_scores_equals_the_one_made_with_the_model(bundle: Path, corpus: Path, tmp_path: Path) -> None:
    _, scores, first = run(tmp_path, "--bundle", bundle, "--data", corpus)
    kept = tmp_path / "kept.parquet"
    scores.rename(kept)
    before = json.loads(first.read_text())
    status, _, second = run(tmp_path, "--from-scores", kept)
    after = json.loads(second.read_text())
    assert status == 0
    assert before.pop("command") != after.pop("command")
    assert before == after


def test_text_alone_is_enough_and_unlabelled_rows_are_scored(bundle: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [ATTACK, CLEAN, None, ""]}), tmp_path / "mine.parquet")
    status, scores, report = run(
        tmp_path, "--bundle", bundle, "--data", tmp_path / "mine.parquet", "--html", tmp_path / "page.html"
    )
    table, found = pq.read_table(scores), json.loads(report.read_text())
    assert status == 0
    assert table["id"].to_pylist() == [f"mine-{n}" for n in range(4)]
    assert set(table["source"].to_pylist()) == {"mine"}
    assert table["kind"].to_pylist() == [None] * 4
    assert table["flagged"].to_pylist() == [True, False, None, False]
    assert table["score_injection"].to_pylist()[2] is None
    assert (found["rows"], found["unscored"], found["headline"]) == (4, 1, None)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_the_served_point_can_be_named_for_all_and_for_one_category(bundle: Path, corpus: Path, tmp_path: Path) -> None:
    _, scores, report = run(
        tmp_path, "--bundle", bundle, "--data", corpus, "--point", "fpr_5%", "--point", "hate=fpr_0.1%"
    )
    found = json.loads(report.read_text())
    assert (found["points"]["injection"], found["points"]["hate"]) == ("fpr_5%", "fpr_0.1%")
    assert (found["thresholds"]["injection"], found["thresholds"]["hate"]) == (0.4, 0.9)
    assert read_scores(scores).facts.thresholds["injection"] == 0.4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bundle", "absent"], "no bundle 'absent'"),
        (["--point", "fpr_9%"], "no operating point fpr_9%"),
        (["--point", "rudeness=fpr_1%"], "unknown category rudeness"),
        (["--data", "nowhere.parquet"], "nowhere.parquet is not a file"),
    ],
)
def test_wrong_arguments_are_said_plainly(
    arguments: list[str], complaint: str, bundle: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--bundle", str(bundle), "--data", str(corpus), *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_data_and_scores_together_are_refused(corpus: Path) -> None:
    with pytest.raises(SystemExit):
        evaluate.main(["--data", str(corpus), "--from-scores", "x"])


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "no_text.parquet")
    (tmp_path / "not.parquet").write_bytes(b"PAR0")
    with pytest.raises(RowsError, match=r"no_text\.parquet has no column `text`, only id"):
        read_rows([tmp_path / "no_text.parquet"])
    with pytest.raises(RowsError, match=r"not\.parquet is not parquet"):
        read_rows([tmp_path / "not.parquet"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RowsError, match="no parquet file"):
        read_rows([tmp_path / "empty"])
    with pytest.raises(RowsError, match="was not written by"):
        read_scores(tmp_path / "no_text.parquet")


def test_a_sample_has_at_most_the_limit_of_each_set_and_kind_and_is_the_same_every_time() -> None:
    source, kind = ["a"] * 50 + ["b"] * 5, ["benign"] * 30 + ["injection"] * 20 + [None] * 5
    rows = sample_rows(source, kind, 10, 5)
    assert len(rows) == 25
    assert sorted(rows) == rows.tolist()
    assert [sum(row < 30 for row in rows), sum(30 <= row < 50 for row in rows)] == [10, 10]
    assert rows.tolist() == sample_rows(source, kind, 10, 5).tolist()
    assert rows.tolist() != sample_rows(source, kind, 10, 6).tolist()


def test_a_sample_draws_as_pandas_does() -> None:
    frame = pd.DataFrame({"row": range(400), "kind": ["benign", "injection"] * 200})
    drawn = frame.groupby("kind", group_keys=False)["row"].apply(lambda rows: rows.sample(n=30, random_state=5))
    assert sample_rows(["s"] * 400, frame["kind"].tolist(), 30, 5).tolist() == sorted(drawn)


def test_a_category_without_the_point_never_falls_back_to_another() -> None:
    with pytest.raises(RowsError, match="no operating point fpr_2%, only fpr_1%"):
        served_thresholds({"fpr_1%": dict.fromkeys(CATEGORIES, 0.5)}, "fpr_1%", {"hate": "fpr_2%"})


def test_any_number_of_threads_gives_the_same_scores(bundle: Path) -> None:
    classifier = Classifier.load(load_bundle(bundle))
    texts = [f"{CLEAN} {'please ' * (n % 40)}{ATTACK if n % 3 == 0 else ''}" for n in range(150)]
    one, four = (
        score_texts(classifier, texts, workers=workers, progress=Progress(len(texts), stream=io.StringIO()))
        for workers in (1, 4)
    )
    np.testing.assert_array_equal(one.scores, four.scores)
    np.testing.assert_array_equal(one.windows, four.windows)
    assert one.windows.max() > 1


def test_progress_says_how_far_it_is_and_how_long_it_takes() -> None:
    stream, times = io.StringIO(), iter([0.0, 1.0, 10.0, 20.0])
    progress = Progress(200, stream=stream, clock=lambda: next(times), every=5.0)
    progress.report(10, 100)
    progress.report(100, 1000)
    progress.report(200, 2000)
    assert stream.getvalue().splitlines() == [
        "scored 100 of 200 texts, 100 tokens/s, 10 s left",
        "scored 200 of 200 texts, 100 tokens/s, 0 s left",
    ]


def test_what_counts_as_served_is_the_mildest_rule_of_the_default_policy(tmp_path: Path) -> None:
    written = "policies: {default: {input: {hate: {block: fpr_0.1%, flag: fpr_5%}, violence: {block: fpr_1%}}}}"
    (tmp_path / "policy.yaml").write_text(written)
    assert evaluate.policy_points(tmp_path / "policy.yaml") == {"hate": "fpr_5%", "violence": "fpr_1%"}


def test_the_shipped_policy_names_a_point_for_every_category() -> None:
    assert set(evaluate.policy_points(evaluate.POLICY)) == set(CATEGORIES)
