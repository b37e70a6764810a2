"""An experiment: everything that decides what a training run does, read from one YAML file.

The configuration is copied into the run's folder and into the bundle's manifest, so a model can always
say how it was made.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """An experiment file that cannot be used; the message names the field."""


class TrainConfig(BaseModel):
    """One experiment. Lengths are in tokens, learning rates per optimiser step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    base: str = "all-minilm-l6-v2"  # a name that training.base knows, or a folder with a DistilBERT
    start: Path | None = None  # weights of an earlier run to go on from, instead of an untrained head
    start_sha256: str | None = None  # of that file; the bundle's manifest carries it
    dataset: Path = Path("var/dataset")
    leave_out: tuple[str, ...] = ()  # sources that this run does not learn from; what it starts from may have
    seed: int = 7

    max_length: int = Field(256, ge=16, le=512)  # of one window, [CLS] and [SEP] included
    stride: int = Field(192, ge=8)
    windows_per_benign: int = Field(2, ge=1)  # a long benign text shows this many windows an epoch, drawn anew
    windows_per_positive: int = Field(6, ge=1)  # a positive shows more: which window is guilty is not known
    tokens_per_batch: int = Field(4096, ge=64)
    batches_per_step: int = Field(2, ge=1)  # of different lengths; all texts of a step count alike
    epochs: float = Field(2.0, gt=0)

    learning_rate: float = Field(1.5e-4, gt=0)
    layer_decay: float = Field(0.9, gt=0, le=1)  # each layer below the head learns this much slower
    weight_decay: float = Field(0.01, ge=0)
    # the share of its way back to the base that the encoder goes at each step, over the learning rate; 0: none
    base_pull: float = Field(0.0, ge=0)
    warmup: float = Field(0.06, ge=0, lt=1)  # share of all steps
    dropout: float = Field(0.1, ge=0, lt=1)
    freeze_word_embeddings: bool = True
    label_smoothing: float = Field(0.01, ge=0, lt=0.5)
    focal_gamma: float = Field(0.0, ge=0)  # Lin et al. 2017, "Focal Loss for Dense Object Detection"
    benign_tail: float = Field(0.0, ge=0)  # extra penalty on harmless texts that score high (training.model.MaskedLoss)
    harm_weight: float = Field(0.5, ge=0)  # of each harm head beside the injection head's 1.0
    ema_decay: float = Field(0.999, ge=0, lt=1)  # of the averaged weights that are exported; 0 exports the last ones

    precision: Literal["bf16", "fp32"] = "bf16"
    checkpoint_every: int = Field(200, ge=1)  # optimiser steps
    validate_every: int = Field(400, ge=1)

    @model_validator(mode="after")
    def _windows_overlap(self) -> Self:
        if self.stride >= self.max_length - 2:
            raise ValueError(f"stride {self.stride} leaves no overlap in windows of {self.max_length} tokens")
        return self

    @model_validator(mode="after")
    def _start_is_named_whole(self) -> Self:
        if (self.start is None) != (self.start_sha256 is None):
            raise ValueError("start and start_sha256 come together")
        return self


def load_config(path: Path) -> TrainConfig:
    """The experiment of a YAML file; raises ConfigError with the offending field."""
    try:
        fields = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(fields).__name__}")
    try:
        return TrainConfig.model_validate(fields)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error


def config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the --config option that every training command shares."""
    parser.add_argument("--config", type=Path, default=Path("training/configs/minilm.yaml"), help="experiment file")
