"""The pictures of a grouping: how clusters grow, and where they lie. Pure: figures in, picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from training.metrics.curves import FloatArray, IntArray
from training.plots import GREY, STYLE, as_svg

SHOWN: Final = 8  # the others are drawn together, or nobody could tell the colours apart
_COLORS: Final = ("#2563a8", "#c2413b", "#2f8f5b", "#b7791f", "#6b4fa3", "#0f8a99", "#b0477f", "#6f7d1f")
_MOST_POINTS: Final = 3_000


def growth_plot(clusters: Sequence[Mapping[str, Any]]) -> str | None:
    """Flagged texts of each cluster by day, stacked; None without clusters."""
    if not clusters:
        return None
    days = sorted({day for found in clusters for day in found["by_day"]})
    series = [(_label(found), [found["by_day"].get(day, 0) for day in days]) for found in clusters]
    if len(series) > SHOWN:
        others = np.sum([counts for _, counts in series[SHOWN:]], axis=0).tolist()
        series = [*series[:SHOWN], (f"{len(series) - SHOWN} others", others)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.8), layout="constrained")
        axes = figure.subplots()
        places, base = [date.fromisoformat(day) for day in days], np.zeros(len(days))
        for (name, counts), color in zip(series, (*_COLORS, GREY), strict=False):
            axes.bar(places, counts, bottom=base, color=color, width=0.9, label=name)  # type: ignore[arg-type]
            base += counts
        axes.set(title="Flagged texts by day and cluster", ylabel="texts")
        axes.grid(visible=False, axis="x")
        figure.autofmt_xdate(rotation=30)
        figure.legend(fontsize=8, loc="outside right upper")
        return as_svg(figure)


def map_plot(embeddings: FloatArray, labels: IntArray, clusters: Sequence[Mapping[str, Any]]) -> str | None:
    """All texts [n, D] on their two principal axes, coloured by cluster; None with too few to have any."""
    if len(embeddings) < 3:
        return None
    step = -(-len(embeddings) // _MOST_POINTS)
    rows, names = embeddings[::step], labels[::step]
    _, _, axes_of_most = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    points = (rows - rows.mean(axis=0)) @ axes_of_most[:2].T
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 5.2), layout="constrained")
        axes = figure.subplots()
        rest = (names < 0) | (names >= SHOWN)
        axes.scatter(
            points[rest, 0], points[rest, 1], s=6, color=GREY, alpha=0.35, linewidths=0, label="others and none"
        )
        for label, (found, color) in enumerate(zip(clusters, _COLORS, strict=False)):
            own = points[names == label]
            axes.scatter(own[:, 0], own[:, 1], s=11, color=color, alpha=0.7, linewidths=0, label=_label(found))
        axes.set(title="Flagged texts, embeddings on their two principal axes", xticks=[], yticks=[])
        figure.legend(fontsize=8, loc="outside right upper")
        return as_svg(figure)


def _label(found: Mapping[str, Any]) -> str:
    """The name where the pictures' font has its letters, else the id."""
    name = str(found["name"])
    return name if name.isascii() else f"{name.partition(':')[0]}: {found['id']}"
