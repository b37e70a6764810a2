"""A pull back to the pretrained base while training goes on.

What a base knows of all language is what unknown attacks are found by, and fine-tuning unlearns it. Li et al. 2018
("Explicit Inductive Bias for Transfer Learning with Convolutional Networks", L2-SP) decay the weights to where they
began instead of to zero. Here that decay stands outside the optimiser (as in Loshchilov & Hutter 2019, AdamW),
since Adam would scale it by its second moment, and beside the optimiser's own decay to zero, which is weaker by far.
"""

from __future__ import annotations

import torch
from torch import nn


class PullToBase:
    """Holds the weights that an encoder has now, and moves those of them that train back towards what they were.

    Biases and norms are pulled as well, and every layer alike: lower ones, which learn more slowly, are held harder.
    """

    def __init__(self, encoder: nn.Module, strength: float) -> None:
        self.strength = strength
        self.origins = [(weight, weight.detach().clone()) for weight in encoder.parameters()] if strength else []

    @torch.no_grad()
    def __call__(self, rate: float) -> None:
        """One step of `rate` times the strength of the way that is left; at 1 and more nothing else is left of it."""
        share = min(1.0, rate * self.strength)
        for weight, origin in self.origins:
            if weight.requires_grad:
                weight.lerp_(origin, share)
