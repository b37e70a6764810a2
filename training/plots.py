"""The pictures of an evaluation, as SVG that stands inside the page. Pure: figures in, picture out."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.measure import Head
from training.metrics.curves import Curve, draw_curve, equal_group_weights

# A report is JSON, read by people and by these plots.
Json = dict[str, Any]

_BLUE, _RED, GREY = "#2563a8", "#c2413b", "#5b616b"
STYLE: dict[Any, Any] = {  # matplotlib types its keys as one literal of hundreds
    "font.family": "sans-serif",
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "weir",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
_CURVE_POINTS = 600


def curves_plot(heads: Mapping[str, Head], source: npt.NDArray[np.str_]) -> str | None:
    """ROC with a logarithmic false-positive axis, and misses over false positives (both logarithmic)."""
    drawable = {name: head for name, head in heads.items() if head.positive.any() and head.negative.any()}
    if not drawable:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, head in drawable.items():
            recall, fpr = _thinned(_pooled_curve(head, source))
            strong = name == "injection"
            style = {"label": name, "linewidth": 2.2 if strong else 1.1, "zorder": 3 if strong else 2}
            left.plot(fpr, recall, **style)
            right.plot(fpr, 1 - recall, **style)
        for rate in (0.001, 0.01, 0.05):
            left.axvline(rate, color=GREY, linewidth=0.8, linestyle=":")
            right.axvline(rate, color=GREY, linewidth=0.8, linestyle=":")
        left.set(title="Caught at each false-positive rate", xscale="log", xlim=(5e-4, 1), ylim=(0, 1))
        left.set(xlabel="false-positive rate (sources weigh alike)", ylabel="recall (sets weigh alike)")
        right.set(title="Missed against false alarms", xscale="log", yscale="log", xlim=(5e-4, 1), ylim=(1e-2, 1))
        right.set(xlabel="false-positive rate", ylabel="share missed")
        for axes in (left, right):
            axes.xaxis.set_major_formatter(_percent)
        right.yaxis.set_major_formatter(_percent)
        left.yaxis.set_major_formatter(_percent)
        left.legend(loc="upper left", fontsize=8.5)
        return as_svg(figure)


def rates_plot(title: str, rates: Mapping[str, Json], *, color: str = _BLUE, limit: float = 1.0) -> str:
    """One bar per set with its 95 % interval, longest first."""
    ordered = sorted(rates.items(), key=lambda item: (item[1]["value"], item[0]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 0.9 + 0.31 * len(ordered)), layout="constrained")
        axes = figure.subplots()
        values = np.array([rate["value"] for _, rate in ordered])
        low, high = (np.array([rate[end] for _, rate in ordered]) for end in ("low", "high"))
        places = np.arange(len(ordered))
        spread = np.clip([values - low, high - values], 0, None)
        axes.barh(places, values, color=color, alpha=0.8, height=0.66)
        axes.errorbar(values, places, xerr=spread, fmt="none", ecolor="#30343a", elinewidth=1, capsize=2.5)
        widest = min(1.0, max(limit, float(high.max()) * 1.05))
        for place, (_, rate) in enumerate(ordered):
            label = f"{rate['value']:.1%}  ({rate['count']} of {rate['of']})"
            axes.text(
                1.01, place, label, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color="#4a4f57"
            )
        axes.set_yticks(places, [name for name, _ in ordered])
        axes.set(title=title, xlim=(0, widest))
        axes.xaxis.set_major_formatter(_percent)
        axes.grid(visible=False, axis="y")
        return as_svg(figure)


def lengths_plot(lengths: Mapping[str, Sequence[Json]]) -> str | None:
    """Recall and false positives as served, by length in tokens; None if no row is labelled."""
    labelled = {
        name: buckets
        for name, buckets in lengths.items()
        if any(bucket["served"]["recall"] or bucket["served"]["fpr"] for bucket in buckets)
    }
    if not labelled:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        row = figure.subplots(1, len(labelled), squeeze=False)[0]
        for axes, (name, buckets) in zip(row, labelled.items(), strict=True):
            labels = [bucket["tokens"] for bucket in buckets]
            _points(axes, [bucket["served"]["recall"] for bucket in buckets], "recall", _BLUE, "o")
            _points(axes, [bucket["served"]["fpr"] for bucket in buckets], "false positives", _RED, "s")
            axes.set_xticks(range(len(labels)), labels, fontsize=8.5)
            axes.set(title=f"{name}, as served, by length", xlabel="tokens", ylim=(-0.02, 1.02))
            axes.yaxis.set_major_formatter(_percent)
            axes.legend(fontsize=8.5)
        return as_svg(figure)


def reliability_plot(found: Mapping[str, Json]) -> str | None:
    """Observed share over mean score, with both classes weighing alike."""
    if not found:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 2.7 * -(-len(found) // 4)), layout="constrained")
        grid = np.atleast_1d(figure.subplots(-(-len(found) // 4), 4, sharex=True, sharey=True)).ravel()
        for axes, (name, head) in zip(grid, found.items(), strict=False):
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
            bins = head["bins"]
            axes.plot(
                [item["score"] for item in bins], [item["observed"] for item in bins], "o-", color=_BLUE, markersize=4
            )
            axes.set(title=f"{name}  (ECE {head['ece']:.2f})", xlim=(0, 1), ylim=(0, 1))
        for axes in grid[len(found) :]:
            axes.set_visible(False)
        figure.supxlabel("mean score", fontsize=9.5)
        figure.supylabel("share that is positive", fontsize=9.5)
        return as_svg(figure)


def heat_maps_plot(
    panels: Mapping[str, Sequence[Sequence[float | None]]],
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    across: str,
    down: str,
) -> bytes:
    """One map of shares a panel, 0 to 1, the value written in each cell; three panels a line. SVG, not embedded."""
    lines = -(-len(panels) // 3)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(10.5, 2.9 * lines), layout="constrained")
        grid = np.atleast_1d(figure.subplots(lines, 3, sharex=True, sharey=True)).ravel()
        for axes, (name, cells) in zip(grid, panels.items(), strict=False):
            shares = np.array([[np.nan if cell is None else cell for cell in line] for line in cells], dtype=float)
            axes.imshow(shares, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto", alpha=0.8)
            for (row, column), value in np.ndenumerate(shares):
                if not np.isnan(value):
                    axes.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=8.5)
            axes.set_xticks(range(len(columns)), columns, fontsize=8.5)
            axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
            axes.set_title(name)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supxlabel(across, fontsize=9.5)
        figure.supylabel(down, fontsize=9.5)
        return _drawn(figure)


def _points(axes: Axes, rates: Sequence[Json | None], label: str, color: str, marker: str) -> None:
    present = [(place, rate) for place, rate in enumerate(rates) if rate is not None]
    if not present:
        return
    values = np.array([rate["value"] for _, rate in present])
    spread = np.clip(
        [[r["value"] - r["low"] for _, r in present], [r["high"] - r["value"] for _, r in present]], 0, None
    )
    places = [place for place, _ in present]
    axes.errorbar(places, values, yerr=spread, fmt=f"{marker}-", color=color, label=label, markersize=4.5, capsize=2.5)


def _percent(value: float, _position: float) -> str:
    return f"{value * 100:g} %"


def _pooled_curve(head: Head, source: npt.NDArray[np.str_]) -> Curve:
    known = head.positive | head.negative
    part = head.only(known)
    return draw_curve(part.scores, part.positive, equal_group_weights(source[known], part.positive))


def _thinned(curve: Curve) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Recall and rate at few enough points to keep the page small, none lost where rates are low."""
    chosen = np.unique(np.searchsorted(curve.fpr, np.geomspace(1e-4, 1, _CURVE_POINTS)).clip(max=len(curve.fpr) - 1))
    return curve.recall[chosen], curve.fpr[chosen]


def as_svg(figure: Figure) -> str:
    """The figure as the address of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(_drawn(figure)).decode()


def _drawn(figure: Figure) -> bytes:
    """The figure as SVG; no date inside, so equal figures give equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
