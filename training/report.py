"""An evaluation as a page to look at and as a few lines to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from training.measure import heads_of
from training.plots import curves_plot, lengths_plot, rates_plot, reliability_plot
from training.rows import ScoredRows

_TEMPLATES = Path(__file__).parent / "templates"
_NOTHING = "\N{EN DASH}"


def render_page(report: Mapping[str, Any], rows: ScoredRows) -> str:
    """One HTML page with every figure and plot; nothing is loaded from elsewhere, no text of any row is shown."""
    return environment().get_template("evaluation.html.j2").render(report=report, plots=_plots(report, rows))


def environment() -> jinja2.Environment:
    """Templates of this folder; a name that the report lacks is an error, not an empty cell."""
    loaded = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loaded.filters |= {"percent": percent, "range": with_range, "digits": digits, "threshold": threshold}
    return loaded


def write_text(path: Path, content: str) -> None:
    """Write a file of figures or a page, and the folders that it is to stand in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def rewrite_between(page: Path, marks: tuple[str, str], content: str) -> None:
    """Put `content` between the two lines of `marks` in a page of the documentation; ValueError if it lacks them."""
    begin, end = marks
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} lacks {begin} or {end}")
    content = re.sub(r"\n{3,}", "\n\n", content).strip()
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}", encoding="utf-8")


def percent(rate: Mapping[str, Any] | float | None) -> str:
    """A share in percent: "12.3 %"."""
    value = rate["value"] if isinstance(rate, Mapping) else rate
    return _NOTHING if value is None else f"{value * 100:.1f} %"


def with_range(rate: Mapping[str, Any] | None) -> str:
    """A share with its 95 % interval: "12.3 % (10.1-14.8)"."""
    if rate is None:
        return _NOTHING
    return f"{rate['value'] * 100:.1f} % ({rate['low'] * 100:.1f}-{rate['high'] * 100:.1f})"


def digits(value: Mapping[str, Any] | float | None) -> str:
    """An area under a curve: ".934"."""
    number = value["value"] if isinstance(value, Mapping) else value
    return _NOTHING if number is None else f"{number:.3f}"


def threshold(value: float | None) -> str:
    """A threshold on the score; none means that nothing may be flagged."""
    return "none" if value is None else f"{value:.4f}"


def summary(report: Mapping[str, Any]) -> str:
    """The named figures in a few lines."""
    lines = [f"{report['rows']:,} texts, bundle {report['bundle']}, {report['unscored']} without a score"]
    head = report["headline"]
    for name, found in _variants(head).items():
        recall = found["recall_at_fpr"]
        lines.append(
            f"injection, {name}: recall {recall['1%']['value']:.3f} at 1 % FP"
            f" ({recall['1%']['low']:.3f}-{recall['1%']['high']:.3f}), {recall['5%']['value']:.3f} at 5 %,"
            f" AUC {found['auc']['value']:.3f};"
            f" as served {found['served']['recall']:.3f} / {found['served']['fpr']:.3f};"
            f" at 0.5 {found['at_half']['recall']:.3f} / {found['at_half']['fpr']:.3f}"
        )
    if head and not head["comparable"]:
        lines.append("not the seven public attack sets: compare with no published figure")
    lines += [
        f"{name}: {percent(found['injection'])} flagged as injection, {percent(found['any'])} at all"
        for name, found in report["over_defence"].items()
    ]
    for name, found in report["harm"].items():
        figures = {key: value for key, value in found.items() if isinstance(value, float) or _is_rate(value)}
        lines.append(f"{name}: " + ", ".join(f"{key} {_number(value):.3f}" for key, value in figures.items()))
    if not head:
        lines.append(f"flagged: {with_range(report['flagged'])}")
    return "\n".join(lines)


def _variants(head: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Headline figures on all rows and on the sample, those that exist."""
    if head is None:
        return {}
    return {name: found for name, found in head.items() if isinstance(found, Mapping)}


def _is_rate(value: object) -> bool:
    return isinstance(value, Mapping) and "low" in value


def _number(value: Mapping[str, Any] | float) -> float:
    return float(value["value"] if isinstance(value, Mapping) else value)


def _plots(report: Mapping[str, Any], rows: ScoredRows) -> dict[str, str | None]:
    kept = rows.take(np.flatnonzero(~np.isnan(rows.scores).any(axis=1)))
    plots: dict[str, str | None] = {
        "curves": curves_plot(heads_of(kept), kept.source),
        "lengths": lengths_plot(report["lengths"]),
        "reliability": reliability_plot(report["reliability"]),
    }
    injection = report["pooled"].get("injection")
    if injection:
        at_one = injection["at"]["1%"]
        plots["recall"] = rates_plot("Injection caught at 1 % pooled false positives, by set", at_one["recall_by_set"])
        plots["alarms"] = rates_plot(
            "Benign texts flagged as injection, as served, by source",
            injection["served"]["fpr_by_source"], color="#c2413b", limit=0.05,
        )  # fmt: skip
    return plots
