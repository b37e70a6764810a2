"""A pull back to the pretrained base while training goes on.

What a base knows of all language is what unknown attacks are found by, and fine-tuning unlearns it. Li et al. 2018
("Explicit Inductive Bias for Transfer Learning with Convolutional Networks", L2-SP) decay the weights to where they
began instead of to zero. Here that decay stands outside the optimiser, as AdamW's does (Loshchilov & Hutter 2019):
it is not scaled by Adam's second moment.
"""

from __future__ import annotations

import torch
from torch import nn


class PullToBase:
    """Holds the weights that a module has now, and moves those of them that train back towards what they were."""

    def __init__(self, module: nn.Module, strength: float) -> None:
        self.strength = strength
        self.origin = {name: p.detach().clone() for name, p in module.named_parameters()} if strength else {}

    @torch.no_grad()
    def __call__(self, module: nn.Module, rate: float) -> None:
        """One step: `rate` (the step's learning rate) times the strength is the share of the way that is gone."""
        if not self.origin:
            return
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                origin = self.origin[name].to(parameter.device)
                parameter.lerp_(origin, min(1.0, rate * self.strength))
