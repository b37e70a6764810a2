"""A run that dies goes on as if nothing had happened."""

import json
from pathlib import Path

import pytest
import torch

from tests.model.tiny_run import tiny_config
from training import train as training
from training.checkpoint import ConfigChangedError, DatasetChangedError, check_config, code_of, remember_dataset
from training.config import TrainConfig


def die_at_step_eight(patch: pytest.MonkeyPatch) -> None:
    learn, calls = training.Trainer.learn, []

    def learn_and_die(self: training.Trainer, batch: training.Batch) -> torch.Tensor:
        calls.append(batch)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return learn(self, batch)

    patch.setattr(training.Trainer, "learn", learn_and_die)


def broken_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A run that died after its first checkpoint, learning with the code "first"."""
    config = tiny_config(folder)
    with monkeypatch.context() as patch:
        die_at_step_eight(patch)
        patch.setenv("WEIR_COMMIT", "first")
        with pytest.raises(KeyboardInterrupt):
            training.train(config, folder / "run", cpu=True)
    return config


@pytest.mark.parametrize("pull", [0.0, 5.0])
def test_a_run_killed_between_two_checkpoints_ends_with_the_very_weights_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pull: float
) -> None:
    config = tiny_config(tmp_path, base_pull=pull)
    unbroken = torch.load(training.train(config, tmp_path / "unbroken", cpu=True), weights_only=True)

    with monkeypatch.context() as patch:
        die_at_step_eight(patch)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, tmp_path / "broken", cpu=True)
    resumed = torch.load(training.train(config, tmp_path / "broken", cpu=True), weights_only=True)

    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    assert (tmp_path / "broken" / "curves.png").stat().st_size > 0


def test_a_run_does_not_go_on_with_other_settings_and_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = broken_run(tmp_path, monkeypatch)
    kept = (tmp_path / "run" / "config.json").read_text()
    other = config.model_copy(update={"epochs": 5.0, "benign_tail": 2.0})
    with pytest.raises(ConfigChangedError, match=r"benign_tail was 0\.0, is 2\.0; epochs was 2\.0, is 5\.0"):
        training.train(other, tmp_path / "run", cpu=True)
    assert (tmp_path / "run" / "config.json").read_text() == kept


def test_a_setting_younger_than_the_run_counts_as_its_default(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    older = json.loads(config.model_dump_json())
    del older["benign_tail"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    check_config(config, tmp_path)
    with pytest.raises(ConfigChangedError, match=r"benign_tail was 0\.0, is 1\.0; give"):
        check_config(config.model_copy(update={"benign_tail": 1.0}), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(older | {"retired": True}))
    with pytest.raises(ConfigChangedError, match="retired was True, is None"):
        check_config(config, tmp_path)


def test_a_checkpoint_that_cannot_say_what_it_began_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigChangedError, match=r"no config\.json"):
        check_config(tiny_config(tmp_path), tmp_path)


def test_the_command_says_which_settings_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = broken_run(tmp_path, monkeypatch)
    (tmp_path / "run").rename(tmp_path / "tiny")
    (tmp_path / "other.yaml").write_text(json.dumps(json.loads(config.model_dump_json()) | {"dropout": 0.3}))
    command = ["train", "--config", str(tmp_path / "other.yaml"), "--runs", str(tmp_path), "--cpu"]
    monkeypatch.setattr("sys.argv", command)
    assert training.main() == 2
    assert "dropout was 0.1, is 0.3" in capsys.readouterr().err


def test_every_commit_that_a_run_learned_with_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = broken_run(tmp_path, monkeypatch)
    for commit in ("second", "not learned with"):
        monkeypatch.setenv("WEIR_COMMIT", commit)
        training.train(config, tmp_path / "run", cpu=True)
    assert code_of(tmp_path / "run") == {"data": "d" * 40, "training": "first, second"}
    assert code_of(tmp_path / "elsewhere") == {"data": "unknown", "training": "unknown"}


def test_a_run_does_not_go_on_with_a_dataset_that_was_built_anew(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"content_hash": "1" * 64}))
    assert remember_dataset(tmp_path, tmp_path) == remember_dataset(tmp_path, tmp_path) == "1" * 64
    (tmp_path / "manifest.json").write_text(json.dumps({"content_hash": "2" * 64}))
    with pytest.raises(DatasetChangedError, match=r"111.*222"):
        remember_dataset(tmp_path, tmp_path)
