"""A run that dies goes on as if nothing had happened."""

import json
from pathlib import Path

import pytest
import torch

from tests.model.tiny_run import tiny_config
from training import train as training
from training.checkpoint import DatasetChangedError, remember_dataset


def test_a_run_killed_between_two_checkpoints_ends_with_the_very_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path)
    unbroken = torch.load(training.train(config, tmp_path / "unbroken", cpu=True), weights_only=True)

    learn, calls = training.Trainer.learn, []

    def learn_and_die(self: training.Trainer, batch: training.Batch) -> torch.Tensor:
        calls.append(batch)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return learn(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "learn", learn_and_die)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "broken", cpu=True)
    resumed = torch.load(training.train(config, tmp_path / "broken", cpu=True), weights_only=True)

    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    assert (tmp_path / "broken" / "curves.png").stat().st_size > 0


def test_a_run_does_not_go_on_with_a_dataset_that_was_built_anew(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"content_hash": "1" * 64}))
    assert remember_dataset(tmp_path, tmp_path) == remember_dataset(tmp_path, tmp_path) == "1" * 64
    (tmp_path / "manifest.json").write_text(json.dumps({"content_hash": "2" * 64}))
    with pytest.raises(DatasetChangedError, match=r"111.*222"):
        remember_dataset(tmp_path, tmp_path)
