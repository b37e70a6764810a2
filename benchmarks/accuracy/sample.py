"""The texts that all guards are asked about: the evaluation's own rows, drawn by its own rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.schema import CATEGORIES, Category
from training.metrics.curves import FloatArray
from training.rows import read_rows, sample_rows, targets_of

_INJECTION = CATEGORIES.index(Category.INJECTION)


@dataclass(frozen=True)
class Sample:
    """n texts with what they should have been called: `targets` [n], 1 for an attack, 0 for a harmless text."""

    texts: Sequence[str]
    source: npt.NDArray[np.str_]
    targets: FloatArray


def draw_sample(paths: Sequence[Path], limit: int | None, seed: int) -> Sample:
    """At most `limit` rows of each set and kind, and of these the ones that say something about injection.

    The choice is that of `training.evaluate --limit`; plain harmful requests fall out with their targets.
    Raises RowsError if there is nothing to read, or labels that cannot be used.
    """
    rows = read_rows(paths)
    if limit is not None:
        rows = rows.select(sample_rows(list(rows["source"]), list(rows["kind"]), limit, seed))
    targets = targets_of(rows)[:, _INJECTION]
    texts = list(rows["text"])
    kept = [row for row, text in enumerate(texts) if text is not None and not np.isnan(targets[row])]
    source = np.array(list(rows["source"]), dtype=np.str_)
    return Sample([texts[row] for row in kept], source[kept], targets[kept])
