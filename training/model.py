"""The network: a DistilBERT encoder and one sigmoid head per category, in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import torch
from torch import Tensor, nn
from transformers import DistilBertModel

from data.schema import CATEGORIES

TAIL_MARGIN: Final = -3.0  # a logit; harmless texts below it are left alone
TAIL_CAP: Final = 6.0  # beyond it a text is more likely mislabelled than worth more


class Output(NamedTuple):
    """`logits` float [B, C] in the order of CATEGORIES; `embedding` float [B, D] of unit length."""

    logits: Tensor
    embedding: Tensor


class GuardModel(nn.Module):
    """Token states are pooled three ways, because a planted sentence is a small part of a window.

    The mean says what the window is about, the maximum keeps what one token alone is sure of, and the first
    token has attended to all others. The embedding is the mean alone, which is what MiniLM was trained to
    make comparable by cosine.
    """

    def __init__(self, encoder: DistilBertModel, dropout: float = 0.1, units: int | None = None) -> None:
        """`units` of the layer before the heads: the encoder's width, or as many as two joined runs have together."""
        super().__init__()
        self.encoder = encoder
        width: int = encoder.config.dim
        units = units or width
        self.hidden = nn.Linear(3 * width, units)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(units, len(CATEGORIES))

    @classmethod
    def holding(cls, encoder: DistilBertModel, weights: Mapping[str, Tensor], dropout: float = 0.1) -> Self:
        """The model that these weights are of; raises LookupError or RuntimeError if they are of no such model."""
        model = cls(encoder, dropout, units=weights["heads.weight"].shape[1])
        model.load_state_dict(weights)
        return model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Output:
        """Score windows: `input_ids` and `attention_mask` int64 [B, T], mask 0 on padding."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        strongest = (states - (1.0 - mask) * 1e4).amax(1)
        pooled = torch.cat([mean, strongest, states[:, 0]], dim=-1)
        hidden = nn.functional.gelu(self.hidden(self.dropout(pooled)))
        logits = self.heads(self.dropout(hidden)).float()
        return Output(logits, nn.functional.normalize(mean, dim=-1))


def strongest_per_text(logits: Tensor, owners: Tensor, texts: int) -> Tensor:
    """Each text's maximum over its windows: [W, C] logits and [W] owners give [texts, C].

    This is how the served classifier joins windows, so training optimises what is served, and a positive
    needs only one guilty window (multiple-instance learning, Dietterich et al. 1997).
    """
    index = owners.unsqueeze(-1).expand_as(logits)
    empty = torch.full((texts, logits.shape[-1]), -torch.inf, device=logits.device, dtype=logits.dtype)
    return empty.scatter_reduce(0, index, logits, reduce="amax")


@dataclass(frozen=True)
class MaskedLoss:
    """Binary cross-entropy over the targets that are known.

    `gamma` > 0 turns it into the focal loss of Lin et al. 2017. `benign_tail` adds, for texts that are no injection,
    that much times the square of how far the injection logit is above TAIL_MARGIN: a threshold at 1 % false
    positives is set by the few highest of them (an energy penalty in the manner of Liu et al. 2020, "Energy-based
    Out-of-distribution Detection").
    """

    head_weights: Tensor
    smoothing: float = 0.0
    gamma: float = 0.0
    benign_tail: float = 0.0

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum over rows and heads, scalar.

        `logits` and `targets` float [N, C], NaN where a row says nothing of a category; `weights` [N] per row,
        `head_weights` [C] per category.
        """
        known = ~targets.isnan()
        truth = torch.where(known, targets, torch.zeros_like(targets))
        soft = truth * (1 - 2 * self.smoothing) + self.smoothing
        loss = nn.functional.binary_cross_entropy_with_logits(logits, soft, reduction="none")
        if self.gamma:
            loss = loss * (truth - logits.sigmoid()).abs() ** self.gamma
        loss = (loss * known * self.head_weights).sum(1)
        if self.benign_tail:
            above = (logits[:, 0] - TAIL_MARGIN).clamp(min=0.0, max=TAIL_CAP)
            loss = loss + self.benign_tail * above**2 * (known[:, 0] & (truth[:, 0] == 0))
        return (loss * weights).sum()
