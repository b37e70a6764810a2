"""docs/accuracy.md: what is between the two marks is made from the figures, the rest is written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data.commit import short_commit
from training.benchmarks import ATTACK_SETS, TABLE_LIMIT, TABLE_SEED

BEGIN, END = "<!-- made by make bench-accuracy: begin -->", "<!-- made by make bench-accuracy: end -->"
_NOTHING = "\N{EN DASH}"
_LENGTHS_NOTE = (
    "Attacks caught / harmless texts flagged at the same threshold of 1 %; here each text weighs the same, and the mix "
    "of sets changes from line to line. Tokens are those of our tokenizer, for all."
)
_SHIPPED_NOTE = "Out of the box, each guard by its own decision:"
Json = Mapping[str, Any]


def fill_page(page: str, figures: Json) -> str:
    """The page with what stands between its marks replaced. Raises ValueError if it lacks one of them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made_part(figures)}\n{END}{after}"


def made_part(figures: Json) -> str:
    """Tables, pictures and notes as Markdown; the same figures give the same text."""
    measured = ordered(figures["guards"])
    parts = [_lead(figures), _headline(measured, [guard for guard in figures["guards"] if guard["missing"]])]
    if measured:
        parts += [
            "![ROC and detection-error curves of all guards](accuracy/curves.svg)",
            "### By attack set",
            "Caught at the guard's own threshold of 1 % pooled false positives.",
            _by_set(measured, figures["attack_sets"], lambda pooled: pooled["at"]["1%"]["recall_by_set"]),
            "### By source of harmless texts",
            "Flagged as the guard comes out of the box.",
            _by_set(measured, figures["benign_sources"], lambda pooled: pooled["served"]["fpr_by_source"]),
            "### By length",
            _LENGTHS_NOTE,
            _by_length(measured, "pooled_1%"),
            _SHIPPED_NOTE,
            _by_length(measured, "served"),
            "![What length does](accuracy/lengths.svg)",
        ]
    parts += ["### The guards", _notes(figures["guards"])]
    return "\n\n".join(parts)


def ordered(guards: Sequence[Json]) -> list[Json]:
    """Those that were measured: the first, which is ours, then the others by recall at 1 %, the best first."""
    found = [guard for guard in guards if not guard["missing"]]
    return sorted(found, key=lambda guard: (guard is not guards[0], -_recall(guard)["value"]))


def _recall(guard: Json, rate: str = "1%") -> Json:
    recall: Json = guard["pooled"]["at"][rate]["recall"]
    return recall


def _lead(figures: Json) -> str:
    limit, seed = figures["limit"], figures["seed"]
    drawn = f"at most {limit} rows of each set and kind, seed {seed}" if limit else "all rows"
    code, data = short_commit(figures["commit"]), figures["data_hash"][:12]
    lead = (
        f"Bundle `{figures['bundle']}` (commit `{code}`, data `{data}`); "
        f"{figures['texts']:,} texts ({drawn}): {figures['attacks']:,} attacks of {len(figures['attack_sets'])} sets, "
        f"{figures['harmless']:,} harmless texts of {len(figures['benign_sources'])} sources. "
        f"In brackets 95 % bootstrap intervals, {figures['replicates']:,} replicates."
    )
    if (limit, seed) != (TABLE_LIMIT, TABLE_SEED):
        lead += f" Not the sample of {TABLE_LIMIT} rows and seed {TABLE_SEED} that other figures here are of."
    if figures["attack_sets"] != sorted(ATTACK_SETS):
        lead += " Not the seven public attack sets: compare with no other figure."
    return lead


def _headline(measured: Sequence[Json], missing: Sequence[Json]) -> str:
    rows = []
    for guard in measured:
        pooled = guard["pooled"]
        trigger = pooled["served"]["fpr_by_source"].get("notinject")
        rows.append(
            [
                guard["title"], _with_range(_recall(guard)), _with_range(_recall(guard, "5%")), _area(pooled["auc"]),
                _pair(pooled["served"]), _pair(pooled["at_half"]), _percent(trigger and trigger["value"]),
            ]
        )  # fmt: skip
    rows += [[guard["title"], guard["missing"], *[_NOTHING] * 5] for guard in missing]
    return _table(
        [
            "guard", "recall at 1 % FP", "at 5 % FP", "AUC", "as shipped: recall / FP", "at 0.5: recall / FP",
            "NotInject flagged, as shipped",
        ],
        rows,
    )  # fmt: skip


def _by_set(measured: Sequence[Json], sets: Sequence[str], rates: Any) -> str:
    found = [rates(guard["pooled"]) for guard in measured]
    rows = [[name, str(found[0][name]["of"]), *(_percent(rate[name]["value"]) for rate in found)] for name in sets]
    return _table(["set", "texts", *(guard["title"] for guard in measured)], rows)


def _by_length(measured: Sequence[Json], at: str) -> str:
    """Caught / flagged in each bucket of length, `at` the threshold of 1 % or as the guards are served."""
    rows = []
    for buckets in zip(*(guard["lengths"] for guard in measured), strict=True):
        counts = [buckets[0][at][key] for key in ("recall", "fpr")]
        texts = " / ".join(str(count["of"] if count else 0) for count in counts)
        rows.append([buckets[0]["tokens"], texts, *(_both(bucket[at]) for bucket in buckets)])
    return _table(["tokens", "attacks / harmless", *(guard["title"] for guard in measured)], rows)


def _both(rates: Json) -> str:
    return " / ".join(_percent(rate["value"] if (rate := rates[key]) else None) for key in ("recall", "fpr"))


def _notes(guards: Sequence[Json]) -> str:
    return "\n".join(f"- **{guard['title']}**: {guard['note']}" for guard in guards)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |" for line in lines)


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{value * 100:.1f} %"


def _with_range(rate: Json) -> str:
    return f"{rate['value'] * 100:.1f} % [{rate['low'] * 100:.1f}-{rate['high'] * 100:.1f}]"


def _area(rate: Json) -> str:
    return f"{rate['value']:.3f} [{rate['low']:.3f}-{rate['high']:.3f}]"


def _pair(rates: Json) -> str:
    return f"{_percent(rates['recall'])} / {_percent(rates['fpr'])}"
