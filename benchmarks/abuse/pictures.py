"""Pictures of limits over time, in the style of the project's other reports."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.abuse.experiments import WARM_UP, AttackResult
from benchmarks.abuse.traffic import MINUTE
from training.plots import GREY, STYLE

_BLUE, _RED, _PALE = "#2563a8", "#c2413b", "#d3d6db"
_COLUMNS: Final = 3
_LINES: Final = 2
_ONSET: Final = WARM_UP / MINUTE
_FIRST, _LAST = -5, 75  # minutes from onset

Points = Sequence[tuple[float, float]]


def save(results: Sequence[AttackResult], path: Path) -> None:
    """One panel for each attack; no date inside, so equal figures give equal files."""
    with mpl.rc_context(STYLE):
        rows = -(-len(results) // _COLUMNS) or 1
        figure = Figure(figsize=(3.7 * _COLUMNS, 1.9 * rows + 0.6), layout="constrained")
        grid = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes, result in zip(grid, results, strict=False):
            _panel(axes, result)
        for axes in grid[len(results) :]:
            axes.set_visible(False)
        if results:
            handles, labels = grid[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=3, fontsize=8.5)
        figure.supxlabel("minutes from onset", fontsize=9, color=GREY)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axes: Axes, result: AttackResult) -> None:
    """Requests a minute that come through, and on the right scale the factors of the attack's first callers."""
    edges = np.arange(_FIRST, _LAST + 1)
    for minutes, colour, label in (
        (result.plain_min, _PALE, "attack requests a minute that plain GCRA admits"),
        (result.admitted_min, _RED, "that are admitted here"),
    ):
        counts, _ = np.histogram(np.asarray(minutes) - _ONSET, bins=edges)
        axes.stairs(counts, edges, fill=True, color=colour, label=label)
    axes.plot([], [], color=_BLUE, label="factor of the attack's first callers (right)")
    axes.set_title(result.figures.attack, fontsize=9)
    axes.set_xlim(_FIRST, _LAST)
    axes.tick_params(labelsize=7)
    axes.grid(visible=False)
    beside = axes.twinx()
    for series in list(result.factors.values())[:_LINES]:
        points = corners(series)
        beside.plot([at - _ONSET for at, _ in points], [factor for _, factor in points], lw=0.9, color=_BLUE, alpha=0.7)
    beside.set_ylim(0, 1.05)
    beside.set_yticks([0, 1])
    beside.tick_params(labelsize=7)
    beside.grid(visible=False)


def corners(series: Points) -> list[tuple[float, float]]:
    """The points that a line needs: those where its value differs from one neighbour's."""
    if len(series) < 3:
        return list(series)
    changes = [before[1] != after[1] for before, after in pairwise(series)]
    middle = [point for point, left, right in zip(series[1:-1], changes, changes[1:], strict=False) if left or right]
    return [series[0], *middle, series[-1]]
