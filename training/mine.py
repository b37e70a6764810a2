"""Find the harmless texts that the model takes for attacks: `python -m training.mine --bundle production`.

Scores benign rows of the sources in the build configuration, and writes the ids of those that score highest to
data/hard_negatives.txt, ids alone. `data.build` takes these rows first (hard-negative mining, Sung & Poggio 1998).
Rows with noisy labels are left alone: among them, a high score is more often a wrong label.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data.config import BuildConfig
from data.schema import Example, Kind
from data.selection import HARD_NEGATIVES, rank
from data.sources import PERMISSIVE, SourceUnavailableError, load
from models.bundle import load_bundle
from models.classifier import Classifier
from models.registry import resolve
from training.metrics.curves import FloatArray
from training.scoring import Progress, score_texts, usable_cores

CHARACTERS = 3000  # of each text: what makes a text look like an attack is seldom behind that


def hardest(scores: FloatArray, *, injection: float, harm: float, limit: int) -> list[int]:
    """Rows of `scores` [n, 7] at or above one of the two scores, at most `limit`, the highest first."""
    key = np.maximum(scores[:, 0] / injection, scores[:, 1:].max(1) / harm)
    order = np.argsort(-key, kind="stable")[:limit]
    return [int(row) for row in order if key[row] >= 1]


def candidates(name: str, limit: int, seed: int) -> list[Example]:
    """A random choice of the benign rows of a source that may be trained on."""
    rows = [one for one in load(name, "train") if _usable(one)]
    return sorted(rows, key=lambda one: rank(one, seed))[:limit]


def _usable(one: Example) -> bool:
    return one.kind is Kind.BENIGN and one.licence_class in PERMISSIVE and not (one.weak or one.eval_only)


def mine(classifier: Classifier, config: BuildConfig, options: argparse.Namespace) -> Iterator[str]:
    """Ids of hard rows, source by source."""
    for name, setting in sorted(config.sources.items()):
        if Kind.BENIGN not in setting.caps:
            continue
        try:
            found = candidates(name, options.scan, config.seed)
        except SourceUnavailableError:
            continue
        texts = [one.text[:CHARACTERS] for one in found]
        scored = score_texts(classifier, texts, workers=usable_cores(), progress=Progress(len(texts)))
        rows = hardest(scored.scores, injection=options.injection, harm=options.harm, limit=options.limit)
        yield from (found[row].id for row in rows)


def write_ids(path: Path, ids: Iterable[str]) -> int:
    """Write the ids, sorted, one a line; returns how many."""
    ordered = sorted(set(ids))
    path.write_text("".join(f"{one}\n" for one in ordered), encoding="utf-8")
    return len(ordered)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.mine", description="Find hard harmless texts.")
    parser.add_argument("--bundle", default="production", help="whose mistakes to look for")
    parser.add_argument("--config", type=Path, default=Path("data/build.yaml"), help="the sources to look in")
    parser.add_argument("--out", type=Path, default=HARD_NEGATIVES)
    parser.add_argument("--scan", type=int, default=6000, help="texts to score of each source")
    parser.add_argument("--limit", type=int, default=400, help="most ids of each source")
    parser.add_argument("--injection", type=float, default=0.2, help="least injection score of a hard text")
    parser.add_argument("--harm", type=float, default=0.5, help="least harm score of a hard text")
    options = parser.parse_args(arguments)
    classifier = Classifier.load(load_bundle(resolve(options.bundle)), threads=1)
    count = write_ids(options.out, mine(classifier, BuildConfig.load(options.config), options))
    print(f"{count} hard texts in {options.out}")


if __name__ == "__main__":
    main()
