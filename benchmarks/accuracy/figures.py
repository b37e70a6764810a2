"""From answers to figures: the evaluation's own measures, once for each guard. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.sample import Sample
from benchmarks.accuracy.scores import Answer, text_key
from training.measure import Figures, Head, Sampling, length_figures, pooled_figures
from training.metrics import Metrics
from training.metrics.curves import IntArray

_AT = "1%"  # the rate whose threshold is used by length


@dataclass(frozen=True)
class Guard:
    """A guard with its answers by text key; `missing` says why there are none, or not all."""

    name: str
    title: str
    note: str
    answers: Mapping[str, Answer]
    missing: str | None = None

    def head(self, sample: Sample) -> Head:
        """Its answers on the sample, in the form that the evaluation measures. KeyError if one is missing."""
        found = [self.answers[text_key(text)] for text in sample.texts]
        scores = np.array([answer.score for answer in found], dtype=np.float64)
        flags = np.array([answer.flagged for answer in found], dtype=np.bool_)
        return Head("injection", scores, sample.targets, flags)


def accuracy_figures(
    guards: Sequence[Guard], sample: Sample, tokens: IntArray, metrics: Metrics, sampling: Sampling
) -> Figures:
    """Of each guard the pooled figures and those by length in `tokens` [n]; of one that is `missing`, the reason.

    Raises ValueError if the sample lacks attacks or harmless texts.
    """
    return {
        "texts": len(sample.texts),
        "attacks": int((sample.targets == 1).sum()),
        "harmless": int((sample.targets == 0).sum()),
        "attack_sets": _sources(sample, 1),
        "benign_sources": _sources(sample, 0),
        "guards": [_guard_figures(guard, sample, tokens, metrics, sampling) for guard in guards],
    }


def _sources(sample: Sample, target: int) -> list[str]:
    return sorted(set(sample.source[sample.targets == target].tolist()))


def _guard_figures(guard: Guard, sample: Sample, tokens: IntArray, metrics: Metrics, sampling: Sampling) -> Figures:
    facts: Figures = {"name": guard.name, "title": guard.title, "note": guard.note, "missing": guard.missing}
    if guard.missing:
        return facts
    head = guard.head(sample)
    pooled = pooled_figures(head, sample.source, metrics, sampling)
    if pooled is None:
        raise ValueError("the texts hold no attack or no harmless text, so there is no rate to compare at")
    lengths = length_figures(head, tokens, pooled["at"][_AT]["threshold"])
    return facts | {"pooled": pooled, "lengths": lengths}
