"""The figures that have names: the headline, and the published harm benchmarks as their papers define them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.schema import HARM_CATEGORIES, Category, Kind
from training.measure import (
    ANY_HARM,
    FPRS,
    Figures,
    Head,
    Sampling,
    heads_of,
    length_figures,
    pooled_figures,
    reliability,
    rounded,
    set_figures,
    share,
)
from training.metrics import Metrics
from training.rows import ScoredRows, sample_rows
from training.targets import OPENAI_MODERATION

# The public attack sets that the headline averages over; with others, it is not comparable.
ATTACK_SETS = (
    "bipia",
    "bipia_payloads",
    "deepset_prompt_injections",
    "injecagent",
    "jailbreakbench_artifacts",
    "piguard_valid",
    "safeguard_prompt_injection",
)
# The published table draws 150 rows of each set and kind with this seed.
TABLE_LIMIT, TABLE_SEED = 150, 5

_INJECTION = Category.INJECTION.value


def build_report(rows: ScoredRows, metrics: Metrics, sampling: Sampling) -> Figures:
    """Everything that is measured, ready for JSON. Rows without a score are counted and left out."""
    judged = ~np.isnan(rows.scores).any(axis=1)
    kept = rows.take(np.flatnonzero(judged))
    heads = heads_of(kept)
    pooled = {name: pooled_figures(head, kept.source, metrics, sampling) for name, head in heads.items()}
    thresholds = {name: _thresholds(figures) for name, figures in pooled.items()}
    return {
        "rows": len(rows.ids),
        "unscored": int((~judged).sum()),
        "unlabelled": int((kept.kind == "").sum()),
        "flagged": share(kept.flagged, np.ones(len(kept.ids), dtype=np.bool_)),
        "headline": headline(pooled[_INJECTION], sampled_injection(kept, metrics, sampling)),
        "over_defence": over_defence(kept),
        "harm": harm_benchmarks(kept, metrics),
        "pooled": {name: figures for name, figures in pooled.items() if figures},
        "sets": _sets(kept, heads, thresholds, metrics, sampling),
        "lengths": {
            name: length_figures(heads[name], kept.tokens, thresholds[name].get("1%"))
            for name in (_INJECTION, ANY_HARM)
        },
        "reliability": {name: found for name, head in heads.items() if (found := reliability(head, kept.source))},
    }


def headline(all_rows: Figures | None, sample: Figures | None) -> Figures | None:
    """The pooled injection figures on all rows and on the published table's sample; None without labelled attacks."""
    if all_rows is None:
        return None
    at_one = all_rows["at"]["1%"]
    sets = sorted(at_one["recall_by_set"])
    return {
        "definition": "One threshold at a false-positive rate pooled over the benign sources with equal weight; "
        "recall on injection and jailbreak rows averaged over the attack sets; plain harm rows left out.",
        "comparable": sets == sorted(ATTACK_SETS),
        "attack_sets": sets,
        "benign_sources": sorted(at_one["fpr_by_source"]),
        "all_rows": _short(all_rows),
        f"sample_{TABLE_LIMIT}_seed_{TABLE_SEED}": _short(sample) if sample else None,
    }


def sampled_injection(rows: ScoredRows, metrics: Metrics, sampling: Sampling) -> Figures | None:
    """The pooled injection figures on the published table's sample of these rows."""
    sample = rows.take(sample_rows(rows.source.tolist(), rows.kind.tolist(), TABLE_LIMIT, TABLE_SEED))
    return pooled_figures(heads_of(sample)[_INJECTION], sample.source, metrics, sampling)


def over_defence(rows: ScoredRows) -> Figures:
    """Harmless texts that look dangerous: share flagged as injection, and flagged at all, as served."""
    found: Figures = {}
    flags = rows.flags
    for source in ("notinject", "piguard_wildguard_benign"):
        among = (rows.source == source) & (rows.kind == Kind.BENIGN.value)
        if among.any():
            found[source] = {"injection": share(flags[:, 0], among), "any": share(rows.flagged, among)}
    return found


def harm_benchmarks(rows: ScoredRows, metrics: Metrics) -> Figures:
    """OpenAI moderation, ToxicChat, XSTest and HateCheck, those that are among the rows."""
    found: Figures = {}
    for source, measure in (
        (OPENAI_MODERATION, _openai_moderation),
        ("toxicchat_test", _toxicchat),
        ("xstest_v2", _xstest),
        ("hatecheck", _hatecheck),
    ):
        part = rows.take(np.flatnonzero(rows.source == source))
        if len(set(part.kind.tolist()) & {Kind.HARM.value, Kind.BENIGN.value}) == 2:
            found[source] = measure(part, metrics)
    return found


def _openai_moderation(rows: ScoredRows, metrics: Metrics) -> Figures:
    """Average precision per category on the rows whose annotators looked at it; the set has no label for illicit."""
    by_category = {
        category.value: auprc
        for category in HARM_CATEGORIES
        if (auprc := _auprc(heads_of(rows)[category.value], metrics)) is not None
    }
    return {
        "macro_auprc": rounded(float(np.mean(list(by_category.values())))) if by_category else None,
        "auprc": by_category,
        "any_harm_auprc": _auprc(heads_of(rows)[ANY_HARM], metrics),
    }


def _toxicchat(rows: ScoredRows, metrics: Metrics) -> Figures:
    head = heads_of(rows)[ANY_HARM]
    return {
        "auprc": _auprc(head, metrics),
        "served": {"recall": share(head.flags, head.positive), "fpr": share(head.flags, head.negative)},
    }


def _xstest(rows: ScoredRows, metrics: Metrics) -> Figures:
    """As a user meets it: flagged for anything, whatever the reason."""
    flagged, head = rows.flagged, heads_of(rows)[ANY_HARM]
    return {
        "unsafe_flagged": share(flagged, head.positive),
        "safe_flagged": share(flagged, head.negative),
        "auprc": _auprc(head, metrics),
    }


def _hatecheck(rows: ScoredRows, metrics: Metrics) -> Figures:
    heads, everything = heads_of(rows), np.ones(len(rows.ids), dtype=np.bool_)
    harmful = heads[ANY_HARM].positive
    return {
        "accuracy": share(heads[ANY_HARM].flags == harmful, everything),
        "accuracy_hate_head": share(heads[Category.HATE.value].flags == harmful, everything),
        "auprc": _auprc(heads[Category.HATE.value], metrics),
    }


def _auprc(head: Head, metrics: Metrics) -> float | None:
    known = head.positive | head.negative
    if not head.positive.any() or not head.negative.any():
        return None
    part = head.only(known)
    return rounded(metrics.ranking.compute(predictions=part.scores, references=part.positive.astype(np.int64))["auprc"])


def _sets(
    rows: ScoredRows,
    heads: Mapping[str, Head],
    thresholds: Mapping[str, Mapping[str, float]],
    metrics: Metrics,
    sampling: Sampling,
) -> Figures:
    sets: Figures = {}
    for source in np.unique(rows.source).tolist():
        inside = rows.source == source
        kinds, counts = np.unique(rows.kind[inside], return_counts=True)
        figures = {
            name: found
            for name, head in heads.items()
            if (found := set_figures(head.only(inside), thresholds[name], metrics, sampling))
        }
        sets[source] = {
            "rows": int(inside.sum()),
            "kinds": {kind or "unlabelled": int(count) for kind, count in zip(kinds.tolist(), counts, strict=True)},
            "median_tokens": int(np.median(rows.tokens[inside])),
            "flagged": share(rows.flagged, inside),
            "heads": figures,
        }
    return sets


def _thresholds(pooled: Figures | None) -> dict[str, float]:
    """Pooled threshold by rate; an infinite one (nothing may be flagged) comes back from null."""
    if pooled is None:
        return {}
    values = {name: pooled["at"][name]["threshold"] for name in FPRS}
    return {name: float("inf") if value is None else value for name, value in values.items()}


def _short(pooled: Figures) -> Figures:
    return {
        "positives": pooled["positives"],
        "negatives": pooled["negatives"],
        "auc": pooled["auc"],
        "recall_at_fpr": {name: pooled["at"][name]["recall"] for name in FPRS},
        "served": {name: pooled["served"][name] for name in ("recall", "fpr")},
        "at_half": pooled["at_half"],
    }
