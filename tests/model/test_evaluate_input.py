"""What evaluation is given: targets come before scores, and no message holds what a file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.accuracy.sample import draw_sample
from data.schema import CATEGORIES
from tests.tiny_bundle import ATTACK, CLEAN, build_tiny_bundle
from training import evaluate
from training.rows import RowsError, read_rows, read_scores
from training.targets import OPENAI_MODERATION

SECRET = "SECRETUSERTEXT"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("store") / "tiny")


@pytest.fixture(autouse=True)
def _own_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(columns: dict[str, object], name: str = "mine") -> Path:
    path = Path(f"{name}.parquet")
    pq.write_table(pa.table(columns), path)
    return path


def moderated(labels: str) -> dict[str, object]:
    return {"text": [f"x {SECRET}"], "source": [OPENAI_MODERATION], "kind": ["harm"], "labels": [labels]}


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"text": pa.array([], pa.string())}, "mine.parquet has no rows"),
        (moderated(f"{{not json {SECRET}"), "mine.parquet, row 0: `labels` is not a JSON object"),
        (moderated(json.dumps([SECRET])), "mine.parquet, row 0: `labels` is not a JSON object"),
        (moderated(json.dumps({"S": SECRET})), "mine.parquet, row 0: `labels` holds something else than 0, 1 and null"),
        (
            {"text": ["a", "b"], "kind": ["benign", "harm"], "harm_categories": [[], [SECRET]]},
            "mine.parquet, row 1: `harm_categories` names what is none of hate, harassment",
        ),
        (
            {"text": ["a"], "kind": ["harm"], "harm_categories": [["injection"]]},
            "mine.parquet, row 0: `harm_categories` names what is none of hate, harassment",
        ),
        (
            {"text": ["a"], "kind": ["harm"], "harm_categories": [SECRET]},
            "mine.parquet, row 0: `harm_categories` is not a list of names",
        ),
        (
            {"text": ["a"], "kind": ["harm"], "harm_categories": [[{"of": SECRET}]]},
            "mine.parquet, row 0: `harm_categories` is not a list of names",
        ),
        ({"text": [SECRET.encode()]}, "mine.parquet: `text` holds bytes, not strings"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_scored(
    columns: dict[str, object],
    complaint: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluate, "score_texts", None)  # would be called
    assert evaluate.main(["--bundle", str(bundle), "--data", str(write(columns))]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert SECRET not in said


def test_kinds_that_are_none_of_ours_are_counted_and_said(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write({"text": [ATTACK, CLEAN, CLEAN], "kind": ["Injection", SECRET, None]})
    options = ["--scores", "scores.parquet", "--report", "report.json", "--replicates", "5"]
    assert evaluate.main(["--bundle", str(bundle), "--data", str(data), *options]) == 0
    said = capsys.readouterr()
    assert "2 of 3 rows have a kind that is none of injection, jailbreak, harm, benign" in said.err
    assert SECRET not in said.err + said.out
    report = json.loads(Path("report.json").read_text())
    assert (report["unknown_kinds"], report["unlabelled"]) == (2, 3)
    assert evaluate.main(["--from-scores", "scores.parquet", "--report", "again.json", "--replicates", "5"]) == 0
    assert json.loads(Path("again.json").read_text())["unknown_kinds"] == 2
    assert "2 of 3 rows have a kind" in capsys.readouterr().err


def test_rows_without_a_source_or_an_id_take_the_file_s_name() -> None:
    rows = read_rows([write({"text": ["a", "b"], "source": [None, "set"], "id": ["one", None]})])
    assert list(rows["source"]) == ["mine", "set"]
    assert list(rows["id"]) == ["one", "mine-1"]


def test_the_accuracy_benchmark_leaves_out_unknown_kinds_and_refuses_what_evaluation_refuses() -> None:
    sample = draw_sample([write({"text": ["a", "b", "c"], "kind": ["injection", "Injection", "benign"]})], None, 5)
    assert list(sample.texts) == ["a", "c"]
    with pytest.raises(RowsError, match="not a JSON object"):
        draw_sample([write(moderated("{"))], None, 5)


def test_scores_that_are_none_are_refused_without_what_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    path = write({"text": [SECRET]})
    for facts in (None, {b"weir": SECRET.encode()}, {b"weir": json.dumps({SECRET: 1}).encode()}):
        pq.write_table(pq.read_table(path).replace_schema_metadata(facts), path)
        assert evaluate.main(["--from-scores", str(path)]) == 2
        said = capsys.readouterr().err
        assert "mine.parquet was not written by training.evaluate" in said
        assert SECRET not in said
    with pytest.raises(RowsError, match=r"absent\.parquet is not a file"):
        read_scores(Path("absent.parquet"))


def test_scores_of_no_rows_are_refused(bundle: Path) -> None:
    data = write({"text": [CLEAN]})
    assert evaluate.main(["--bundle", str(bundle), "--data", str(data), "--scores", "s.parquet"]) == 0
    pq.write_table(pq.read_table("s.parquet").slice(0, 0), "s.parquet")
    with pytest.raises(RowsError, match=r"s\.parquet has no rows"):
        read_scores(Path("s.parquet"))


def test_a_limit_of_nothing_is_refused(bundle: Path) -> None:
    with pytest.raises(SystemExit):
        evaluate.main(["--bundle", str(bundle), "--data", str(write({"text": [CLEAN]})), "--limit", "0"])


def test_targets_are_in_the_order_of_the_categories() -> None:
    rows = read_rows([write({"text": ["a"], "kind": ["harm"], "harm_categories": [["sexual"]]})])
    assert rows["targets"][0][[category.value for category in CATEGORIES].index("sexual")] == 1.0
