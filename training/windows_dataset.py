"""The built dataset as the trainer sees it: windows of tokens, planned into batches of like length.

Texts go through the same normalisation and windows as in serving (`models`), so the model learns on what it
will be shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from torch import Tensor

from data.dataset import TARGETS
from data.schema import CATEGORIES
from models.normalize import normalize
from models.windows import Windower
from training.config import TrainConfig

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class WindowsDataset:
    """N texts. `targets` float32 [N, C], NaN where unknown; `weights` float32 [N]; `windows[i]` in text order."""

    windows: list[list[Ids]]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    sources: list[str]

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Whether a text is a positive of any category, bool [N]."""
        return np.asarray(np.nanmax(np.nan_to_num(self.targets), axis=1) > 0.5)


@dataclass(frozen=True)
class Batch:
    """Windows of some texts, padded to the longest: ids and mask int64 [W, T], owners int64 [W] into texts."""

    input_ids: Tensor
    attention_mask: Tensor
    owners: Tensor
    rows: npt.NDArray[np.int64]


def load_windows(parquet: Path, tokenizer: Tokenizer, *, max_length: int, stride: int) -> WindowsDataset:
    """Read a built split and cut its texts into windows; prints progress to stderr."""
    table = Dataset.from_parquet(str(parquet), cache_dir=str(parquet.parent / "cache" / "arrow")).with_format("numpy")
    texts: Sequence[str] = table["text"][:]
    windower = Windower.load(tokenizer.to_str().encode(), max_length=max_length, stride=stride)
    windows: list[list[Ids]] = []
    for number, text in enumerate(texts):
        cut = [window for view in normalize(text).views for window in windower.windows(view)[0]]
        windows.append([window.ids.astype(np.int32) for window in cut])
        if number % 10_000 == 0:
            print(f"{parquet.name}: {number}/{len(texts)} texts", file=sys.stderr, flush=True)
    targets = np.stack([np.asarray(table[TARGETS[c]][:], dtype=np.float32) for c in CATEGORIES], axis=1)
    weights = np.asarray(table["weight"][:], dtype=np.float32)
    return WindowsDataset(windows, targets, weights, [str(source) for source in table["source"][:]])


def of_sources(dataset: WindowsDataset, sources: Set[str]) -> WindowsDataset:
    """The rows of the named sources."""
    rows = [row for row, source in enumerate(dataset.sources) if source in sources]
    return WindowsDataset(
        [dataset.windows[row] for row in rows],
        dataset.targets[rows],
        dataset.weights[rows],
        [dataset.sources[row] for row in rows],
    )


def plan_epoch(dataset: WindowsDataset, config: TrainConfig, epoch: int) -> list[list[tuple[int, list[int]]]]:
    """The batches of one epoch, as (row, window numbers) pairs; a pure function of the seed and the epoch.

    Texts of like length go together (sorted with some jitter), so little is spent on padding.
    """
    rng = np.random.default_rng((config.seed, epoch))
    chosen: list[tuple[int, list[int]]] = []
    for row, positive in enumerate(dataset.positive):
        limit = config.windows_per_positive if positive else config.windows_per_benign
        chosen.append((row, _choose(len(dataset.windows[row]), limit, rng)))
    lengths = np.array([max(len(dataset.windows[row][w]) for w in picks) for row, picks in chosen])
    order = np.argsort(lengths * rng.uniform(0.9, 1.1, len(lengths)), kind="stable")
    batches: list[list[tuple[int, list[int]]]] = [[]]
    longest = windows = 0
    for i in order:
        row, picks = chosen[i]
        longest, windows = max(longest, int(lengths[i])), windows + len(picks)
        if batches[-1] and longest * windows > config.tokens_per_batch:
            batches.append([])
            longest, windows = int(lengths[i]), len(picks)
        batches[-1].append((row, picks))
    return [batches[i] for i in rng.permutation(len(batches))]


def plan_steps(dataset: WindowsDataset, config: TrainConfig, epoch: int) -> list[list[list[tuple[int, list[int]]]]]:
    """The epoch's batches in the groups that share an optimiser step."""
    batches, size = plan_epoch(dataset, config, epoch), config.batches_per_step
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _choose(count: int, limit: int, rng: np.random.Generator) -> list[int]:
    if count <= limit:
        return list(range(count))
    return sorted(rng.choice(count, size=limit, replace=False).tolist())


def collate(dataset: WindowsDataset, batch: Sequence[tuple[int, Sequence[int]]]) -> Batch:
    """Pad the chosen windows of a batch into tensors."""
    flat = [(owner, dataset.windows[row][w]) for owner, (row, picks) in enumerate(batch) for w in picks]
    longest = max(len(ids) for _, ids in flat)
    input_ids = torch.zeros((len(flat), longest), dtype=torch.int64)
    mask = torch.zeros_like(input_ids)
    for i, (_, ids) in enumerate(flat):
        input_ids[i, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
        mask[i, : len(ids)] = 1
    owners = torch.tensor([owner for owner, _ in flat])
    return Batch(input_ids, mask, owners, np.array([row for row, _ in batch], dtype=np.int64))


def whole_batches(dataset: WindowsDataset, tokens_per_batch: int) -> Iterator[Batch]:
    """Every text with all of its windows, for evaluation, shortest first."""
    order = sorted(range(len(dataset)), key=lambda row: max(map(len, dataset.windows[row])))
    pending: list[tuple[int, list[int]]] = []
    cost = 0
    for row in order:
        size = len(dataset.windows[row]) * max(map(len, dataset.windows[row]))
        if pending and cost + size > tokens_per_batch:
            yield collate(dataset, pending)
            pending, cost = [], 0
        pending.append((row, list(range(len(dataset.windows[row])))))
        cost += size
    if pending:
        yield collate(dataset, pending)
