"""The pull towards the pretrained base: what it moves, how far, and that a run goes through it at every step."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.model.tiny_run import tiny_config
from training import train as training
from training.base import load_base
from training.checkpoint import lineage, sha256_of
from training.config import TrainConfig
from training.pull import PullToBase

ALL_THE_WAY = 1e9


def moved(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by)


def test_one_step_goes_the_share_of_the_way_that_rate_and_strength_say() -> None:
    layer = nn.Linear(3, 2)
    began = {name: p.detach().clone() for name, p in layer.named_parameters()}
    pull = PullToBase(layer, strength=2.5)
    moved(layer, by=1.0)
    pull(rate=0.1)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.detach(), began[name] + 0.75)


def test_it_never_overshoots_and_leaves_frozen_weights_alone() -> None:
    layer = nn.Linear(3, 2)
    began = layer.weight.detach().clone()
    strong, none = PullToBase(layer, strength=50.0), PullToBase(layer, strength=0.0)
    moved(layer, by=1.0)
    layer.bias.requires_grad_(False)
    frozen = layer.bias.detach().clone()
    none(rate=1.0)
    torch.testing.assert_close(layer.weight.detach(), began + 1.0)
    strong(rate=1.0)
    assert torch.equal(layer.weight.detach(), began)
    assert torch.equal(layer.bias, frozen)


def distance_to_base(config: TrainConfig, weights: Path) -> float:
    learned, base = torch.load(weights, weights_only=True), load_base(config.base).encoder.state_dict()
    return sum(float((learned[f"encoder.{name}"] - base[name]).norm()) for name in base)


def test_a_run_that_goes_on_is_pulled_to_the_base_and_not_to_its_start(tmp_path: Path) -> None:
    first = tiny_config(tmp_path, learning_rate=1e-2)
    start = training.train(first, tmp_path / "first", cpu=True)
    assert distance_to_base(first, start) > 0.1
    names = {"start": start, "start_sha256": sha256_of(start)}
    pulled = tiny_config(tmp_path, base_pull=ALL_THE_WAY, ema_decay=0.0, epochs=1, **names)
    assert distance_to_base(pulled, training.train(pulled, tmp_path / "second", cpu=True)) < 1e-6
    assert [one["dataset"]["content_hash"] for one in lineage(tmp_path / "second")] == ["0" * 64] * 2


def test_the_averaged_weights_have_been_pulled_after_each_step(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, base_pull=ALL_THE_WAY, ema_decay=0.9, learning_rate=1e-2)
    assert distance_to_base(config, training.train(config, tmp_path / "run", cpu=True)) < 1e-6


def test_the_pull_of_a_step_follows_the_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(PullToBase, "__call__", lambda _, rate: rates.append(rate))
    config = tiny_config(tmp_path, base_pull=1.0, learning_rate=1e-3, warmup=0.2)
    training.train(config, tmp_path / "run", cpu=True)
    steps = range(len(rates))
    assert rates == pytest.approx([1e-3 * training.warm_then_linear(step, len(rates), 0.2) for step in steps])
    assert len(rates) > 5
