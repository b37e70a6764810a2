"""Texts through the served path, on all cores."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np

from data.schema import CATEGORIES, Prediction
from models.bundle import Bundle, load_bundle
from models.registry import resolve
from training.metrics.curves import FloatArray, IntArray

_CHUNK = 32


class Predictor(Protocol):
    """What scoring needs of `models.classifier.Classifier`: thread-safe, releases the GIL."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction per text, in order."""
        ...


@dataclass(frozen=True)
class Scores:
    """What came back: `scores` [n, 7], NaN where there was no text; `tokens` and `windows` [n]."""

    scores: FloatArray
    tokens: IntArray
    windows: IntArray


@dataclass
class Progress:
    """Lines about how far a long run is, at most one every `every` seconds."""

    total: int
    stream: TextIO = sys.stderr
    clock: Callable[[], float] = time.monotonic
    every: float = 5.0

    def __post_init__(self) -> None:
        self._start = self._last = self.clock()

    def report(self, done: int, tokens: int) -> None:
        """Write a line if it is time for one, or if all is done."""
        now = self.clock()
        if done < self.total and now - self._last < self.every:
            return
        self._last = now
        passed = max(now - self._start, 1e-9)
        left = passed / max(done, 1) * (self.total - done)
        print(
            f"scored {done:,} of {self.total:,} texts, {tokens / passed:,.0f} tokens/s, {left:,.0f} s left",
            file=self.stream,
            flush=True,
        )


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def add_bundle_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that reads a bundle: `--bundle` and `--store`."""
    parser.add_argument("--bundle", default="production", help="name in the store, or a folder (default: production)")
    parser.add_argument("--store", type=Path, default=Path("models/store"), help="where bundle names are looked up")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that judges texts: those of a bundle, and `--workers`."""
    add_bundle_options(parser)
    parser.add_argument("--workers", type=int, default=usable_cores(), help="threads (default: all cores)")


def chosen_bundle(arguments: argparse.Namespace) -> Bundle:
    """The bundle that the options name. Raises BundleError and RegistryError."""
    return load_bundle(resolve(arguments.bundle, root=arguments.store))


def score_texts(predictor: Predictor, texts: Sequence[str | None], *, workers: int, progress: Progress) -> Scores:
    """Judge every text, `workers` chunks at a time; a text that is None has no score. Any failure is raised."""
    scores = np.full((len(texts), len(CATEGORIES)), np.nan)
    counts = np.zeros((len(texts), 2), dtype=np.int64)
    present = [row for row, text in enumerate(texts) if text is not None]
    # long ones first: a short tail keeps both cores busy to the end, and the time left is never underestimated
    present.sort(key=lambda row: -len(texts[row] or ""))
    done = len(texts) - len(present)

    def judge(rows: Sequence[int]) -> tuple[Sequence[int], list[Prediction]]:
        return rows, predictor.predict([texts[row] or "" for row in rows])

    with ThreadPoolExecutor(workers) as pool:
        for rows, predictions in pool.map(judge, list(_chunks(present))):
            for row, prediction in zip(rows, predictions, strict=True):
                scores[row] = [prediction.scores[category] for category in CATEGORIES]
                counts[row] = prediction.coverage.tokens, prediction.coverage.windows
            done += len(rows)
            progress.report(done, int(counts[:, 0].sum()))
    return Scores(scores, counts[:, 0], counts[:, 1])


def _chunks(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]
