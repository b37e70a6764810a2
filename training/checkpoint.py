"""Saving a run so that it can go on exactly where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.commit import UNKNOWN
from training.config import TrainConfig


@dataclass(frozen=True)
class Progress:
    """How far a run is: `batch` counts within the epoch, `step` over all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


class AveragedWeights:
    """An exponential moving average of the trainable weights (Polyak averaging)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Blend in the current weights; young averages forget their random start faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(parameter.detach(), 1 - decay)

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state with the averages in place of what was trained."""
        return {**model.state_dict(), **self.shadow} if self.decay else model.state_dict()


def save_checkpoint(path: Path, progress: Progress, **parts: Any) -> None:
    """Write everything a run needs to go on; the old file stays whole until the new one is."""
    temporary = path.with_suffix(".tmp")
    rng = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}
    torch.save({"progress": vars(progress), "rng": rng, **parts}, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path) -> tuple[Progress, dict[str, Any]]:
    """Read a checkpoint and restore the random state."""
    parts = torch.load(path, map_location="cpu", weights_only=True)
    rng = parts.pop("rng")
    torch.set_rng_state(rng["cpu"])
    if rng["cuda"]:
        torch.cuda.set_rng_state_all(rng["cuda"])
    return Progress(**parts.pop("progress")), parts


class DatasetChangedError(Exception):
    """A run meets another dataset than the one it began with."""


def remember_dataset(dataset: Path, run: Path) -> str:
    """The content hash of the built `dataset`, kept in the folder of the `run` that learns from it.

    Rows move between training and validation when a dataset is built anew, so a run that goes on, or is
    calibrated, on another build would be judged on rows that it has seen. Raises DatasetChangedError for that.
    """
    manifest = json.loads((dataset / "manifest.json").read_text())
    found: str = manifest["content_hash"]
    path = run / "dataset.json"
    if not path.exists():
        _write_dataset(path, found, manifest.get("commit", UNKNOWN))
    begun: str = json.loads(path.read_text())["content_hash"]
    if begun != found:
        raise DatasetChangedError(f"{run} learnt from dataset {begun[:12]}, but {dataset} is now {found[:12]}")
    return found


def remember_origin(run: Path, content_hash: str, commits: Mapping[str, str]) -> None:
    """Note the dataset and the code that weights learnt from which were not made in this `run`'s folder."""
    _write_dataset(run / "dataset.json", content_hash, commits.get("data", UNKNOWN))
    trained = [commit for commit in commits.get("training", UNKNOWN).split(", ") if commit != UNKNOWN]
    (run / "code.json").write_text(json.dumps({"commits": trained}))


def _write_dataset(path: Path, content_hash: str, commit: str) -> None:
    path.write_text(json.dumps({"content_hash": content_hash, "commit": commit}))


class ConfigChangedError(Exception):
    """A run is to go on with other settings than it began with; the message names each with both values."""


def check_config(config: TrainConfig, run: Path) -> None:
    """Raises ConfigChangedError unless the `run` began with `config`: its bundle names one set of settings.

    A setting that is younger than the run counts as its default.
    """
    path = run / "config.json"
    if not path.exists():
        raise ConfigChangedError(f"{run} has a checkpoint but no config.json to say what it began with")
    now = config.model_dump(mode="json")
    begun = TrainConfig(name=config.name).model_dump(mode="json") | json.loads(path.read_text())
    changed = [
        f"{name} was {begun.get(name)!r}, is {now.get(name)!r}"
        for name in sorted(begun.keys() | now.keys())
        if begun.get(name) != now.get(name)
    ]
    if changed:
        raise ConfigChangedError(f"{run} began with other settings: {'; '.join(changed)}; give the new run a name")


def remember_code(run: Path, commit: str, *, fresh: bool) -> None:
    """Note the code that the `run` learns with from here on; a `fresh` one forgets what was noted."""
    path = run / "code.json"
    commits: list[str] = [] if fresh or not path.exists() else json.loads(path.read_text())["commits"]
    if commits[-1:] != [commit]:
        path.write_text(json.dumps({"commits": [*commits, commit]}))


def noted(run: Path) -> dict[str, Any]:
    """What the folder of the `run` says of the "dataset" and the "code" that it learned with, as far as it does."""
    return {
        name: json.loads(path.read_text()) for name in ("dataset", "code") if (path := run / f"{name}.json").exists()
    }


def lineage(run: Path) -> list[dict[str, Any]]:
    """What the `run` and those that it went on from learned with, nearest first, as far as their folders are there."""
    found: list[dict[str, Any]] = []
    while (path := run / "config.json").exists():
        config = json.loads(path.read_text())
        found.append({"experiment": config["name"], **noted(run)})
        if not config.get("start") or (run := Path(config["start"]).parent) == path.parent:
            break
    return found


def code_of(run: Path) -> dict[str, str]:
    """The commits that built the dataset and trained the `run`, as far as they were noted; several in their order."""
    notes = noted(run)
    return {
        "data": notes.get("dataset", {}).get("commit", UNKNOWN),
        "training": ", ".join(notes.get("code", {}).get("commits", [])) or UNKNOWN,
    }


def sha256_of(weights: Path) -> str:
    """The name of a file of weights that does not change with its place."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()
