"""The texts that attack clusters are made of: flagged events, each with a direction in the model's own space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from data.schema import Action, Event, Kind
from models.bundle import MODEL, TOKENIZER, Bundle, BundleError, load_bundle
from models.registry import versions
from training.metrics.curves import FloatArray
from training.scoring import Predictor

_CHUNK: Final = 32


@dataclass(frozen=True, slots=True)
class Flagged:
    """One flagged text. `text` is None where the tier keeps none, `embedding` is a unit vector [D]."""

    time: float
    principal: str
    address: str
    category: str
    text: str | None
    embedding: FloatArray


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A flagged text that still has to be embedded."""

    time: float
    principal: str
    address: str
    category: str
    text: str


def same_space(bundle: Bundle, store: Path) -> set[str]:
    """The versions in the store with this bundle's model and tokeniser: their embeddings can be compared with its."""
    ours = _identity(bundle)
    found = {bundle.manifest.version}
    for version in versions(store):
        try:
            if _identity(load_bundle(store / version)) == ours:
                found.add(version)
        except BundleError:  # a damaged version is not what is asked about here
            continue
    return found


def flagged_events(events: Iterable[Event], space: Collection[str]) -> tuple[list[Flagged], list[Unplaced], int]:
    """Flagged events that have an embedding of the space, those that have a text instead, and how many have neither."""
    placed: list[Flagged] = []
    unplaced: list[Unplaced] = []
    lost = 0
    for event in events:
        if event.action is Action.ALLOW or not event.categories:
            continue
        category = max(event.categories, key=lambda each: event.scores[each]).value
        about = (event.time, event.principal, event.address, category)
        direction = _unit(event.embedding) if event.embedding and event.model_version in space else None
        if direction is not None:
            placed.append(Flagged(*about, event.text, direction))
        elif event.text:
            unplaced.append(Unplaced(*about, event.text))
        else:
            lost += 1
    return placed, unplaced, lost


def attack_examples(path: Path, now: float) -> list[Unplaced]:
    """The attacks and harmful texts of a dataset (columns `text` and `kind`), as if they had been flagged now."""
    rows = pq.read_table(path, columns=["text", "kind"]).to_pylist()
    return [
        Unplaced(now, f"example_{number}", "", row["kind"], row["text"])
        for number, row in enumerate(rows)
        if row["kind"] != Kind.BENIGN and row["text"]
    ]


def harmless_texts(path: Path, most: int, rng: np.random.Generator) -> list[str]:
    """At most so many benign texts of a dataset, drawn at random."""
    rows = pq.read_table(path, columns=["text", "kind"]).to_pylist()
    texts = [row["text"] for row in rows if row["kind"] == Kind.BENIGN and row["text"]]
    chosen = rng.permutation(len(texts))[:most]
    return [texts[index] for index in sorted(chosen)]


def place(
    unplaced: Sequence[Unplaced], predictor: Predictor, workers: int, say: Callable[[str], None]
) -> list[Flagged]:
    """The same texts with the embedding that this model gives them."""
    directions = embed([each.text for each in unplaced], predictor, workers, say)
    return [
        Flagged(each.time, each.principal, each.address, each.category, each.text, direction)
        for each, direction in zip(unplaced, directions, strict=True)
    ]


def embed(texts: Sequence[str], predictor: Predictor, workers: int, say: Callable[[str], None]) -> list[FloatArray]:
    """The embedding of each text, a unit vector [D], as serving has it."""
    chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
    found: list[FloatArray] = []
    with ThreadPoolExecutor(workers) as pool:
        for predictions in pool.map(predictor.predict, chunks):
            found += [np.asarray(each.embedding, dtype=np.float64) for each in predictions]
            if len(found) % (_CHUNK * 32) == 0:
                say(f"embedded {len(found):,} of {len(texts):,} texts")
    return found


def _identity(bundle: Bundle) -> tuple[str, str, int, int]:
    manifest = bundle.manifest
    return manifest.files[MODEL], manifest.files[TOKENIZER], manifest.max_length, manifest.stride


def _unit(embedding: Sequence[float]) -> FloatArray | None:
    row = np.asarray(embedding, dtype=np.float64)
    length = float(np.linalg.norm(row))
    return row / length if np.isfinite(length) and length > 0 else None
