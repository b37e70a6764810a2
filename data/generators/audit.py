"""Can the label be had cheaply? `python -m data.generators.audit [--generator NAME] [--count 12000] [--top 25]`.

Every baseline is fitted on one half of the groups and judged on the other half:

- carrier and length of the texts in carriers, which must say nothing (AUC near 0.5);
- single words, on the texts in carriers and on everything: the honest figure of what wording gives away;
- word pairs and triples whose label is lopsided, listed so that whoever writes grammars can balance them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from data.generators.registry import GENERATORS, generate
from data.schema import Example, Kind

Features = Callable[[Example], dict[str, float]]


@dataclass(frozen=True)
class Audit:
    """Areas under the ROC curve on unseen groups; `twins_words` is the share of attacks that score above their twin.

    Those of texts in carriers are None for a generator without any.
    """

    length: float
    words: float
    twins_words: float
    carrier: float | None = None
    words_in_carriers: float | None = None


@dataclass(frozen=True)
class NGram:
    """A word sequence, in how many attacks and harmless texts it stands, and the smoothed log odds ratio."""

    text: str
    attacks: int
    harmless: int
    log_odds: float


def in_first_half(group: str) -> bool:
    """Which half a group belongs to; independent of the train and validation split."""
    return hashlib.sha256(f"audit:{group}".encode()).digest()[0] % 2 == 0


def targets(examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    """1 for attacks, 0 for harmless texts, shape [n]."""
    return np.array([int(example.kind is not Kind.BENIGN) for example in examples], dtype=np.int64)


def carrier_features(example: Example) -> dict[str, float]:
    """The carrier's kind and whether a user's request stands round it."""
    return {f"carrier={_carrier(example)}": 1.0, "wrapped": float("wrapped" in example.labels)}


def _carrier(example: Example) -> str:
    return str(example.labels.get("carrier", "none"))


def length_features(example: Example) -> dict[str, float]:
    """Characters, words and lines, on a log scale, each with its square."""
    sizes = {"characters": len(example.text), "words": len(example.text.split()), "lines": example.text.count("\n")}
    logs = {name: math.log1p(size) for name, size in sizes.items()}
    return logs | {f"{name}2": value**2 for name, value in logs.items()}


def _scores_by_features(
    train: Sequence[Example], test: Sequence[Example], features: Features
) -> npt.NDArray[np.float64]:
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=1000))
    model.fit([features(example) for example in train], targets(train))
    return np.asarray(model.predict_proba([features(example) for example in test])[:, 1])


def _scores_by_words(train: Sequence[Example], test: Sequence[Example]) -> npt.NDArray[np.float64]:
    words = CountVectorizer(binary=True, min_df=3)
    model = make_pipeline(words, LogisticRegression(max_iter=1000, C=0.3))
    model.fit([example.text for example in train], targets(train))
    return np.asarray(model.predict_proba([example.text for example in test])[:, 1])


def audit(examples: Sequence[Example]) -> Audit:
    """All baselines on `examples`, which must hold whole groups in numbers (a few thousand rows)."""
    train = [example for example in examples if in_first_half(str(example.group))]
    test = [example for example in examples if not in_first_half(str(example.group))]
    carried = [[example for example in half if _carrier(example) != "none"] for half in (train, test)]

    def area(scores: npt.NDArray[np.float64], judged: Sequence[Example]) -> float:
        return float(roc_auc_score(targets(judged), scores))

    halves = carried if all(carried) else [train, test]
    length = area(_scores_by_features(halves[0], halves[1], length_features), halves[1])
    everywhere = _scores_by_words(train, test)
    if not all(carried):
        return Audit(length, area(everywhere, test), _above_twin(test, everywhere))
    inside = _scores_by_words(carried[0], carried[1])
    return Audit(
        length=length,
        words=area(everywhere, test),
        twins_words=_above_twin(carried[1], inside),
        carrier=area(_scores_by_features(carried[0], carried[1], carrier_features), carried[1]),
        words_in_carriers=area(inside, carried[1]),
    )


def _above_twin(judged: Sequence[Example], scores: npt.NDArray[np.float64]) -> float:
    """Share of (attack, twin) pairs, neighbours of one family, in which the attack scores higher."""
    wins, pairs = 0, 0
    for left in range(len(judged) - 1):
        one, two = judged[left], judged[left + 1]
        if one.labels["family"] == two.labels["family"] and (one.kind is Kind.BENIGN) != (two.kind is Kind.BENIGN):
            difference = scores[left] - scores[left + 1]
            wins += int((difference if two.kind is Kind.BENIGN else -difference) > 0)
            pairs += 1
    return wins / max(pairs, 1)


def lopsided(examples: Sequence[Example], size: int, top: int) -> list[NGram]:
    """The `top` word sequences of `size` words that give the label away most, weighted by how common they are."""
    counts = {Kind.BENIGN: Counter[str](), Kind.INJECTION: Counter[str]()}
    totals = Counter[Kind]()
    for example in examples:
        side = Kind.BENIGN if example.kind is Kind.BENIGN else Kind.INJECTION
        words = re.findall(r"[^\W\d_]+", example.text.lower())
        counts[side].update({" ".join(words[at : at + size]) for at in range(len(words) - size + 1)})
        totals[side] += 1
    grams = []
    for text in set(counts[Kind.BENIGN]) | set(counts[Kind.INJECTION]):
        bad, good = counts[Kind.INJECTION][text], counts[Kind.BENIGN][text]
        odds = math.log((bad + 1) / (totals[Kind.INJECTION] + 2)) - math.log((good + 1) / (totals[Kind.BENIGN] + 2))
        grams.append((abs(odds) * math.sqrt(bad + good), NGram(text, bad, good, round(odds, 2))))
    return [gram for _, gram in sorted(grams, key=lambda entry: (-entry[0], entry[1].text))[:top]]


def main() -> None:
    """Print the figures and the word sequences to balance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", choices=GENERATORS, default="generated", help="whose examples")
    parser.add_argument("--count", type=int, default=12_000, help="examples to draw")
    parser.add_argument("--seed", type=int, default=3, help="seed of the examples")
    parser.add_argument("--top", type=int, default=25, help="word sequences listed for each length")
    arguments = parser.parse_args()
    examples = list(generate(arguments.generator, arguments.seed, arguments.count))
    lines = [json.dumps(asdict(audit(examples)), indent=1)]
    for size in (1, 2, 3):
        lines.append(f"\n{size}-grams: attacks / harmless / log odds")
        grams = lopsided(examples, size, arguments.top)
        lines += [f"{gram.attacks:6d} {gram.harmless:6d} {gram.log_odds:6.2f}  {gram.text}" for gram in grams]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
