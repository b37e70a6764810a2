"""Our measures: modules of the `evaluate` library that live in this folder, one folder each.

They are loaded from the path, so no hub is asked. `curves` holds the arithmetic in plain numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import evaluate

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Metrics:
    """The measures that a report is made of; each has `compute(predictions=, references=, ...)`."""

    ranking: evaluate.Metric
    recall_at_fpr: evaluate.Metric
    pooled_recall: evaluate.Metric


def load_metrics(cache: Path) -> Metrics:
    """Load the modules of this folder; their importable copies and locks go under `cache`."""
    import evaluate  # noqa: PLC0415  (takes seconds; `curves` needs none of it)

    evaluate.config.HF_MODULES_CACHE = str(cache / "modules")

    def load(name: str) -> evaluate.Metric:
        script = _FOLDER / name / f"{name}.py"
        return evaluate.load(str(script), keep_in_memory=True, cache_dir=str(cache / "metrics"))

    return Metrics(load("ranking"), load("recall_at_fpr"), load("pooled_recall"))
