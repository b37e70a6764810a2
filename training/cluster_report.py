"""What a grouping found, as figures, as a page with pictures, and as lines for a terminal. No text in it is raw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from models.clusters import Cluster
from training.cluster_plots import growth_plot, map_plot
from training.flagged import Flagged
from training.metrics.curves import FloatArray, IntArray
from training.redact import redacted, shared_words
from training.report import environment

DAY_S: Final = 86_400
REPRESENTATIVES: Final = 3
LEAST_TEXTS: Final = 3
NAME_WORDS: Final = 4

# A report is JSON, read by people and by the page.
Json = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """One group with its cluster. `new`: the bundle before did not know it. `kept`: it is in the new bundle."""

    cluster: Cluster
    members: Sequence[Flagged]
    new: bool
    kept: bool


def name_of(members: Sequence[Flagged], others: Sequence[Flagged]) -> str:
    """A few words that many texts of the group share and few others have; without texts, the usual category."""
    texts = {each.text for each in members if each.text}
    category = Counter(each.category for each in members).most_common(1)[0][0]
    shared = shared_words(texts, max(LEAST_TEXTS, len(texts) // 10))
    elsewhere = {each.text for each in others if each.text}
    background = shared_words(elsewhere, 1)

    def distinct(word: str) -> float:
        return shared[word] / len(texts) * float(np.log1p(len(elsewhere) / (1 + background[word])))

    telling = [word for word in shared if word not in ENGLISH_STOP_WORDS and len(word) > 2 and word.isalpha()]
    chosen = sorted(telling, key=lambda word: (-distinct(word), word))[:NAME_WORDS]
    return f"{category}: {' '.join(chosen)}" if chosen else category


def representatives(members: Sequence[Flagged], direction: FloatArray) -> list[str]:
    """The texts nearest to the centre, redacted to the words that the group shares; different ones only."""
    texts = {each.text for each in members if each.text}
    shared = shared_words(texts, LEAST_TEXTS)
    ordered = sorted(members, key=lambda each: -float(each.embedding @ direction))
    shown = dict.fromkeys(redacted(each.text, shared) for each in ordered if each.text)
    return [line for line in shown if any(letter.isalpha() for letter in line)][:REPRESENTATIVES]


def figures(groups: Sequence[Group], directions: Sequence[FloatArray], now: float) -> list[Json]:
    """Each group's figures, the largest first, with its growth by day and by week."""
    return [
        {
            "id": group.cluster.id,
            "name": group.cluster.name,
            "new": group.new,
            "kept": group.kept,
            "size": len(group.members),
            "principals": len({each.principal for each in group.members}),
            "addresses": len({each.address for each in group.members}),
            "categories": dict(Counter(each.category for each in group.members).most_common()),
            "first_seen": _day(min(each.time for each in group.members)).isoformat(),
            "last_seen": _day(max(each.time for each in group.members)).isoformat(),
            "this_week": _within(group.members, now - 7 * DAY_S, now),
            "week_before": _within(group.members, now - 14 * DAY_S, now - 7 * DAY_S),
            "background": group.cluster.background,
            "typical": group.cluster.typical,
            "by_day": by_day([each.time for each in group.members]),
            "representatives": representatives(group.members, direction),
        }
        for group, direction in zip(groups, directions, strict=True)
    ]


def by_day(times: Sequence[float]) -> dict[str, int]:
    """How many fall on each day (UTC), from the first to the last of them without a gap."""
    counts = Counter(_day(time) for time in times)
    first, last = min(counts), max(counts)
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {day.isoformat(): counts[day] for day in days}


def render_page(report: Mapping[str, Any], embeddings: FloatArray, labels: IntArray) -> str:
    """One HTML page with growth and map; nothing is loaded from elsewhere."""
    plots = {"growth": growth_plot(report["clusters"]), "map": map_plot(embeddings, labels, report["clusters"])}
    return environment().get_template("clusters.html.j2").render(report=report, plots=plots)


def summary(report: Mapping[str, Any]) -> str:
    """The report in a few lines."""
    events = report["events"]
    shares = f"{events['grouped']:,} in {len(report['clusters'])} clusters, {events['alone']:,} in none"
    lines = [f"{events['flagged']:,} flagged texts: {shares}, {events['lost']:,} without embedding or text"]
    for found in report["clusters"]:
        state = "new" if found["new"] else "known"
        state += "" if found["kept"] else ", too near to harmless texts to be kept"
        lines.append(
            f"{found['id']}  {found['size']:>6,} texts, {found['principals']:,} principals,"
            f" {found['week_before']:,} -> {found['this_week']:,} a week  ({state})  {found['name']}"
        )
    lines += [f"{each['id']}  kept from before, not seen in these events  {each['name']}" for each in report["carried"]]
    return "\n".join(lines)


def _within(members: Sequence[Flagged], start: float, end: float) -> int:
    return sum(start < each.time <= end for each in members)


def _day(time: float) -> date:
    return datetime.fromtimestamp(time, UTC).date()
