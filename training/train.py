"""Fine-tune the guard: `python -m training.train --config training/configs/minilm.yaml`.

Writes under `var/runs/<name>/`: config.json, dataset.json, code.json (the commits that it learned with),
log.jsonl, curves.png, checkpoint.pt (removed by nothing: a second start goes on from it, exactly, and is refused if it
comes with other settings) and at the end weights.pt with the averaged weights, which `training.export` turns into a
bundle. The same code runs on a CPU, a GPU, or several of them under `accelerate launch`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import DistilBertModel

from data.commit import code_commit
from data.schema import CATEGORIES
from models.memory import keep_freed_memory
from training.base import load_base
from training.checkpoint import (
    AveragedWeights,
    ConfigChangedError,
    DatasetChangedError,
    Progress,
    check_config,
    load_checkpoint,
    remember_code,
    remember_dataset,
    save_checkpoint,
    sha256_of,
)
from training.config import ConfigError, TrainConfig, config_argument, load_config
from training.curves import draw_curves
from training.model import GuardModel, MaskedLoss, strongest_per_text
from training.pull import PullToBase
from training.validation import validate
from training.windows_dataset import Batch, WindowsDataset, collate, load_windows, of_sources, plan_steps

LOG_EVERY = 20
KEPT_BYTES = 2**31 - 1  # measured: training runs at twice the speed on a virtual machine


class Trainer:
    """One run: the model, its optimiser, and how far they are."""

    def __init__(
        self,
        config: TrainConfig,
        model: GuardModel,
        train: WindowsDataset,
        folder: Path,
        accelerator: Accelerator,
        *,
        pull: PullToBase,
    ) -> None:
        self.config, self.train_set, self.folder, self.accelerator = config, train, folder, accelerator
        per_epoch = len(plan_steps(train, config, 0)) // accelerator.num_processes
        self.total_steps = max(1, math.ceil(config.epochs * per_epoch))
        self.raw, self.pull = model, pull
        optimizer = torch.optim.AdamW(parameter_groups(model, config), betas=(0.9, 0.98), eps=1e-6)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warm_then_linear(step, self.total_steps, config.warmup)
        )
        self.average = AveragedWeights(model, config.ema_decay)
        self.loss = MaskedLoss(
            torch.tensor([1.0] + [config.harm_weight] * (len(CATEGORIES) - 1)).to(accelerator.device),
            smoothing=config.label_smoothing,
            gamma=config.focal_gamma,
            benign_tail=config.benign_tail,
        )
        self.progress = Progress()

    def resume(self) -> None:
        """Go on from the run's checkpoint, if it has one; ConfigChangedError if that was made with other settings."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        check_config(self.config, self.folder)
        self.progress, parts = load_checkpoint(path)
        self.raw.load_state_dict(parts["model"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.schedule.load_state_dict(parts["schedule"])
        self.average.shadow = {k: v.to(self.accelerator.device) for k, v in parts["average"].items()}
        print(f"resuming at step {self.progress.step}", file=sys.stderr)

    def save(self) -> None:
        """Write the checkpoint, on the first process only."""
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.folder / "checkpoint.pt",
                self.progress,
                model=self.raw.state_dict(),
                optimizer=self.optimizer.state_dict(),
                schedule=self.schedule.state_dict(),
                average=self.average.shadow,
            )

    def steps(self) -> Iterator[list[Batch]]:
        """What this process learns from at each step, from the current progress to the last one."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        while self.progress.step < self.total_steps:
            plan = plan_steps(self.train_set, self.config, self.progress.epoch)
            mine = plan[rank : len(plan) - len(plan) % world : world]
            for number in range(self.progress.batch, len(mine)):
                if self.progress.step >= self.total_steps:
                    return
                self.progress = Progress(self.progress.epoch, number + 1, self.progress.step + 1)
                yield [collate(self.train_set, batch) for batch in mine[number]]
            self.progress = Progress(self.progress.epoch + 1, 0, self.progress.step)

    def learn(self, step: Sequence[Batch]) -> Tensor:
        """One optimiser step; returns its loss, the weighted mean over the texts of all its batches (detached)."""
        weights = [torch.from_numpy(self.train_set.weights[batch.rows]) for batch in step]
        total = float(sum(weight.sum() for weight in weights))
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, (batch, weight) in enumerate(zip(step, weights, strict=True), start=1):
            with self.accelerator.no_sync(self.model) if number < len(step) else nullcontext():
                loss = self._loss(batch, weight) / total
                self.accelerator.backward(loss)
            losses.append(loss.detach())
        self.accelerator.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.pull(float(max(self.schedule.get_last_lr())))  # the heads' rate, which is the step's highest
        self.schedule.step()
        self.average.update(self.raw, self.progress.step)
        return torch.stack(losses).sum()

    def _loss(self, batch: Batch, weights: Tensor) -> Tensor:
        device = self.accelerator.device
        targets = torch.from_numpy(self.train_set.targets[batch.rows]).to(device)
        with self.accelerator.autocast():
            output = self.model(batch.input_ids.to(device), batch.attention_mask.to(device))
        logits = strongest_per_text(output.logits, batch.owners.to(device), len(batch.rows))
        return self.loss(logits, targets, weights.to(device))


def parameter_groups(model: GuardModel, config: TrainConfig) -> list[dict[str, Any]]:
    """Layer-wise learning rates (Howard & Ruder 2018, ULMFiT); no decay on biases and layer norms."""
    layers = len(model.encoder.transformer.layer)
    model.encoder.embeddings.word_embeddings.weight.requires_grad_(not config.freeze_word_embeddings)
    groups: list[dict[str, Any]] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = layers + 1
        if name.startswith("encoder.embeddings."):
            depth = 0
        elif name.startswith("encoder.transformer.layer."):
            depth = 1 + int(name.split(".")[3])
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        rate = config.learning_rate * config.layer_decay ** (layers + 1 - depth)
        groups.append({"params": [parameter], "lr": rate, "weight_decay": decay})
    return groups


def warm_then_linear(step: int, total: int, warmup: float) -> float:
    """Learning-rate factor: up to 1 over the first `warmup` share of the steps, then down to 0."""
    warm = max(1, round(total * warmup))
    if step < warm:
        return (step + 1) / warm
    return max(0.0, (total - step) / max(1, total - warm))


def train(config: TrainConfig, folder: Path, *, cpu: bool = False) -> Path:
    """Run the experiment to its end, or go on with it; returns the file of the final weights.

    Raises ConfigChangedError or DatasetChangedError if the folder holds a run that began with another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no", cpu=cpu)
    remember_dataset(config.dataset, folder)
    torch.manual_seed(config.seed)
    base = load_base(config.base, dropout=config.dropout)
    encoder = base.encoder.to(accelerator.device)
    pull = PullToBase(encoder, config.base_pull)  # before the weights of `start` take the base's place in it
    model = first_model(encoder, config).to(accelerator.device)
    sizes = {"max_length": config.max_length, "stride": config.stride}
    train_set, validation_set = (
        _without(load_windows(config.dataset / f"{part}.parquet", base.tokenizer, **sizes), config.leave_out)
        for part in ("train", "validation")
    )
    trainer = Trainer(config, model, train_set, folder, accelerator, pull=pull)
    trainer.resume()
    # each process draws its own dropout; a resumed run of several processes is equal but for that
    if accelerator.process_index:
        torch.manual_seed(config.seed + trainer.progress.step * accelerator.num_processes + accelerator.process_index)
    if accelerator.is_main_process:
        _note(trainer)
    with (folder / "log.jsonl").open("a") as log:
        _run(trainer, validation_set, log)
    weights = folder / "weights.pt"
    if accelerator.is_main_process:
        torch.save(trainer.average.state(model), weights)
        draw_curves(folder / "log.jsonl", folder / "curves.png")
    return weights


def first_model(encoder: DistilBertModel, config: TrainConfig) -> GuardModel:
    """The model that the experiment begins with; raises ConfigError if it cannot go on from the weights it names."""
    if config.start is None:
        return GuardModel(encoder, config.dropout)
    try:
        found = sha256_of(config.start)
        if found != config.start_sha256:
            raise ConfigError(f"start: {config.start} has sha256 {found}, expected {config.start_sha256}")
        weights = torch.load(config.start, map_location="cpu", weights_only=True)
        return GuardModel.holding(encoder, weights, config.dropout)
    except (OSError, LookupError, RuntimeError) as error:
        raise ConfigError(f"start: {config.start} holds no weights of a model on {config.base}") from error


def _note(trainer: Trainer) -> None:
    """What is learnt from here on is learnt with these settings and this code."""
    fresh = trainer.progress.step == 0
    if fresh:
        (trainer.folder / "config.json").write_text(trainer.config.model_dump_json(indent=2))
    if trainer.progress.step < trainer.total_steps:
        remember_code(trainer.folder, code_commit(), fresh=fresh)


def _without(dataset: WindowsDataset, sources: Sequence[str]) -> WindowsDataset:
    return of_sources(dataset, set(dataset.sources) - set(sources)) if sources else dataset


def _run(trainer: Trainer, validation_set: WindowsDataset, log: IO[str]) -> None:
    config, started, since, tokens = trainer.config, time.monotonic(), time.monotonic(), 0
    losses: list[Tensor] = []
    trainer.model.train()
    for batches in trainer.steps():
        losses.append(trainer.learn(batches))
        tokens += sum(int(batch.attention_mask.sum()) for batch in batches)
        step = trainer.progress.step
        last = step == trainer.total_steps
        if (step % LOG_EVERY == 0 or last) and trainer.accelerator.is_main_process:
            pace = (time.monotonic() - started) / max(1, len(losses))
            line = {
                "step": step,
                "of": trainer.total_steps,
                "epoch": trainer.progress.epoch,
                "loss": round(float(torch.stack(losses[-LOG_EVERY:]).mean()), 4),
                "tokens_per_s": round(tokens / (time.monotonic() - since)),
                "minutes_left": round(pace * (trainer.total_steps - step) / 60, 1),
            }
            _write(log, line)
            since, tokens = time.monotonic(), 0
        if step % config.validate_every == 0 or last:
            if trainer.accelerator.is_main_process:
                figures = validate(trainer.raw, trainer.average, validation_set, config)
                _write(log, {"step": step, "validation": figures})
                draw_curves(trainer.folder / "log.jsonl", trainer.folder / "curves.png")
            trainer.accelerator.wait_for_everyone()
            trainer.model.train()
            since, tokens = time.monotonic(), 0
        if step % config.checkpoint_every == 0 or last:
            trainer.save()


def _write(log: IO[str], line: dict[str, Any]) -> None:
    log.write(json.dumps(line) + "\n")
    log.flush()
    print(json.dumps(line), file=sys.stderr, flush=True)


def main() -> int:
    """Command line; exit status 2 if the experiment cannot be read or does not fit the run in its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    config_argument(parser)
    parser.add_argument("--runs", type=Path, default=Path("var/runs"), help="where runs are kept")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU even if there is one")
    arguments = parser.parse_args()
    try:
        config = load_config(arguments.config)
        keep_freed_memory(KEPT_BYTES, large_too=True)
        print(train(config, arguments.runs / config.name, cpu=arguments.cpu))
    except (ConfigError, ConfigChangedError, DatasetChangedError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
