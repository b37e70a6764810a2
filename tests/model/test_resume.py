"""A run that dies goes on as if nothing had happened."""

from pathlib import Path

import pytest
import torch

from tests.model.tiny_run import tiny_config
from training import train as training


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
