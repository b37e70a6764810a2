"""The pull towards the pretrained base: what it moves, how far, and that a run goes through it."""

from pathlib import Path

import torch
from torch import nn

from tests.model.tiny_run import tiny_config
from training import train as training
from training.base import load_base
from training.pull import PullToBase


def moved(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by)


def test_one_step_goes_the_share_of_the_way_that_rate_and_strength_say() -> None:
    layer = nn.Linear(3, 2)
    began = {name: p.detach().clone() for name, p in layer.named_parameters()}
    pull = PullToBase(layer, strength=2.5)
    moved(layer, by=1.0)
    pull(layer, rate=0.1)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(parameter.detach(), began[name] + 0.75)


def test_it_never_overshoots_and_leaves_frozen_weights_and_weak_runs_alone() -> None:
    layer = nn.Linear(3, 2)
    began = layer.weight.detach().clone()
    strong, none = PullToBase(layer, strength=50.0), PullToBase(layer, strength=0.0)
    moved(layer, by=1.0)
    layer.bias.requires_grad_(False)
    frozen = layer.bias.detach().clone()
    none(layer, rate=1.0)
    torch.testing.assert_close(layer.weight.detach(), began + 1.0)
    strong(layer, rate=1.0)
    assert torch.equal(layer.weight.detach(), began)
    assert torch.equal(layer.bias, frozen)


def test_a_run_with_a_pull_ends_nearer_to_its_base(tmp_path: Path) -> None:
    def distance(strength: float) -> float:
        config = tiny_config(tmp_path, base_pull=strength, learning_rate=1e-2)
        weights = torch.load(training.train(config, tmp_path / f"run{strength}", cpu=True), weights_only=True)
        base = load_base(config.base).encoder.state_dict()
        return sum(float((weights[f"encoder.{name}"] - base[name]).norm()) for name in base)

    assert distance(30.0) < 0.7 * distance(0.0)
