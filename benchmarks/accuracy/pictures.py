"""The pictures of docs/accuracy.md: curves of all guards, and what length does to them. Pure: figures in, SVG out."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.measure import Figures, Head
from training.metrics.curves import FloatArray, draw_curve, equal_group_weights

_COLOURS = ("#2563a8", "#c2413b", "#d08a1e", "#3f8f5b", "#7a5aa6", "#5b616b")  # ours first
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "weir",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}
_POINTS = 160
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
_DET_ENDS = (5e-4, 0.98)
_NORMAL = NormalDist()
_HIGHEST_ALARM = 0.15  # of the few long harmless texts one alone is more than that


def curves_picture(heads: Mapping[str, Head], source: npt.NDArray[np.str_]) -> str:
    """Recall over false positives (logarithmic), and misses over false positives on normal-deviate axes (DET).

    `heads` by title, ours first. Source of the second: Martin et al. 1997, "The DET curve in assessment of
    detection task performance".
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (title, head) in enumerate(heads.items()):
            recall, rate = _thinned(head, source)
            look = {"color": _COLOURS[number % len(_COLOURS)], "linewidth": 2.4 if number == 0 else 1.3, "label": title}
            look |= {"zorder": 3 if number == 0 else 2}
            left.plot(rate, recall, **look)
            right.plot(_deviate(rate), _deviate(1 - recall), **look)
        left.set(title="Caught at each false-positive rate (ROC)", xscale="log", xlim=(5e-4, 1), ylim=(0, 1))
        left.set(xlabel="harmless texts flagged (sources weigh alike)", ylabel="attacks caught (sets weigh alike)")
        left.xaxis.set_major_formatter(_percent)
        left.yaxis.set_major_formatter(_percent)
        _det_axes(right)
        for mark in (0.01, 0.05):
            left.axvline(mark, color="#5b616b", linewidth=0.8, linestyle=":")
            right.axvline(_NORMAL.inv_cdf(mark), color="#5b616b", linewidth=0.8, linestyle=":")
        _legend(figure, left)
        return _svg(figure)


def lengths_picture(lengths: Mapping[str, Sequence[Figures]]) -> str:
    """Recall and false positives by length at each guard's own 1 % threshold, ours with 95 % intervals."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10.5, 3.6), layout="constrained")
        for axes, key, title in zip(
            figure.subplots(1, 2),
            ("recall", "fpr"),
            ("Attacks caught at 1 % false positives, by length", "Harmless texts flagged there, by length"),
            strict=True,
        ):
            for number, (name, buckets) in enumerate(lengths.items()):
                _length_line(axes, number, name, [bucket["pooled_1%"][key] for bucket in buckets])
            labels = [bucket["tokens"] for bucket in next(iter(lengths.values()))]
            axes.set_xticks(range(len(labels)), labels, fontsize=8)
            axes.set(title=title, xlabel="tokens")
            axes.set_ylim(0, 1 if key == "recall" else _HIGHEST_ALARM)
            axes.yaxis.set_major_formatter(_percent)
        _legend(figure, figure.axes[0])
        return _svg(figure)


def _length_line(axes: Axes, number: int, name: str, rates: Sequence[Figures | None]) -> None:
    present = [(place, rate) for place, rate in enumerate(rates) if rate is not None]
    places = [place for place, _ in present]
    values = [rate["value"] for _, rate in present]
    colour = _COLOURS[number % len(_COLOURS)]
    axes.plot(places, values, "o-", color=colour, label=name, markersize=3.5, linewidth=2.4 if number == 0 else 1.3)
    if number == 0:
        low, high = ([rate[end] for _, rate in present] for end in ("low", "high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


def _legend(figure: Figure, axes: Axes) -> None:
    """Below both plots, where no curve is."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)


def _thinned(head: Head, source: npt.NDArray[np.str_]) -> tuple[FloatArray, FloatArray]:
    """Recall and false-positive rate of the pooled curve at few enough points for a small file."""
    curve = draw_curve(head.scores, head.positive, equal_group_weights(source, head.positive))
    wanted = np.searchsorted(curve.fpr, np.geomspace(2e-4, 1, _POINTS), side="right") - 1
    chosen = np.unique(np.clip(wanted, 0, len(curve.fpr) - 1))
    return curve.recall[chosen], curve.fpr[chosen]


def _deviate(rates: FloatArray) -> list[float]:
    return [_NORMAL.inv_cdf(rate) for rate in np.clip(rates, 1e-6, 1 - 1e-6).tolist()]


def _det_axes(axes: Axes) -> None:
    ticks, labels = [_NORMAL.inv_cdf(rate) for rate in _DET_TICKS], [_percent(rate, 0) for rate in _DET_TICKS]
    ends = [_NORMAL.inv_cdf(rate) for rate in _DET_ENDS]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    axes.set(title="Missed against false alarms (DET)", xlim=ends, ylim=ends)
    axes.set(xlabel="harmless texts flagged", ylabel="attacks missed")


def _percent(value: float, _position: float) -> str:
    return f"{value * 100:g} %"


def _svg(figure: Figure) -> str:
    """The figure as SVG on white, without a date: equal figures give equal files."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"
