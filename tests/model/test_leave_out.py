"""Leave-one-source-out: what a run must not see, and what is measured on it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.model.tiny_run import tiny_config
from training import leave_out
from training.windows_dataset import WindowsDataset, of_sources


def dataset(targets: list[float], sources: list[str]) -> WindowsDataset:
    rows = len(targets)
    table = np.full((rows, 7), np.nan, dtype=np.float32)
    table[:, 0] = targets
    return WindowsDataset([[np.array([1, 2], dtype=np.int32)]] * rows, table, np.ones(rows, np.float32), sources)


def test_only_rows_of_the_named_sources_stay() -> None:
    whole = dataset([0, 1, 0], ["a", "b", "a"])
    part = of_sources(whole, {"a"})
    assert part.sources == ["a", "a"]
    assert part.targets[:, 0].tolist() == [0, 0]
    assert len(part.windows) == len(part.weights) == 2


def test_recall_on_the_unseen_source_is_taken_at_one_percent_of_the_usual_harmless_texts() -> None:
    usual = dataset([0] * 100 + [1], ["v"] * 101)
    scores = np.zeros((101, 7))
    scores[:100, 0] = np.arange(100)
    scores[100, 0] = 1000  # an attack, which must not raise the threshold
    unseen = dataset([1, 1, 0, 0], ["new"] * 4)
    logits = np.zeros((4, 7))
    logits[:, 0] = [120, 50, 130, 0]
    found = leave_out.held_out_figures(usual, scores, unseen, logits)
    assert found == {"recall": 0.5, "recall_of": 2, "false_positives": 0.5, "false_positives_of": 2}


def test_the_command_trains_without_the_source_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path)
    seen: list[set[str]] = []
    train = leave_out.train

    def spying(changed: leave_out.TrainConfig, folder: Path, *, cpu: bool) -> Path:
        seen.append(set(changed.leave_out))
        return train(changed, folder, cpu=cpu)

    monkeypatch.setattr(leave_out, "train", spying)
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps(json.loads(config.model_dump_json())))
    leave_out.main(["--config", str(path), "--sources", "odd", "--runs", str(tmp_path / "runs"), "--cpu"])
    table = json.loads((tmp_path / "runs" / f"{config.name}-leave-out.json").read_text())
    assert seen == [{"odd"}]
    assert table["mean_recall"] == table["sources"]["odd"]["recall"]
