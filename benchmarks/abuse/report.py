"""The report of `make bench-abuse`: a page of markdown, its figures as JSON, and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.abuse.attackers import ATTACKERS
from benchmarks.abuse.experiments import AttackResult, PeopleResult
from benchmarks.abuse.figures import AttackFigures, GroupFigures, pooled

OVERALL_GOAL: Final = 0.001
GROUP_GOAL: Final = 0.005
RECOVERY_GOAL_S: Final = 600.0
BYTES_GOAL: Final = 2048
PEERS: Final = ("fixed window", "plain GCRA", "Flask-Limiter")


@dataclass(frozen=True, slots=True)
class Check:
    """One acceptance number: what it is about, what came out, and whether that is good enough."""

    what: str
    value: str
    goal: str
    met: bool


def by_attack(results: Sequence[AttackResult]) -> dict[str, list[AttackFigures]]:
    """Figures of all seeds by attack, in the order of the attackers."""
    found: dict[str, list[AttackFigures]] = {name: [] for name in ATTACKERS}
    for result in results:
        found[result.figures.attack].append(result.figures)
    return {name: figures for name, figures in found.items() if figures}


def reduction(figures: Sequence[AttackFigures]) -> float:
    """Over all seeds together: the share of what plain GCRA admits after the first twenty that we keep out."""
    base = sum(each.admitted["plain GCRA"] for each in figures)
    return 1 - sum(each.admitted["ours"] for each in figures) / base if base else 0.0


def checks(attacks: Sequence[AttackResult], crowds: Sequence[PeopleResult]) -> Iterator[Check]:
    """The issue's acceptance numbers, all seeds together."""
    for name, figures in by_attack(attacks).items():
        goal = ATTACKERS[name].goal
        if goal is None:
            continue
        value, worst = reduction(figures), min(each.reduction for each in figures)
        yield Check(f"{name}: kept out", f"{value:.1%} (worst {worst:.1%})", f"at least {goal:.0%}", value >= goal)
        slowest = max((1e9 if each.recovered_s is None else each.recovered_s) for each in figures)
        yield Check(f"{name}: all room back", f"{slowest:.0f} s", "within 600 s", slowest <= RECOVERY_GOAL_S)
    for company in (False, True):
        groups = pooled(group for crowd in crowds if crowd.company == company for group in crowd.groups)
        where = "among all attackers" if company else "in peace"
        for name, group in groups.items():
            goal = OVERALL_GOAL if name == "overall" else GROUP_GOAL
            text = f"{group.share:.2%}"
            yield Check(f"{name}, {where}: wrongly limited", text, f"at most {goal:.1%}", group.share <= goal)
    if crowds:
        most = max(crowd.footprint.most_bytes for crowd in crowds)
        yield Check("bytes of one caller in Redis", str(most), f"at most {BYTES_GOAL}", most <= BYTES_GOAL)


def markdown(attacks: Sequence[AttackResult], crowds: Sequence[PeopleResult], seeds: Sequence[int]) -> str:
    """The page."""
    lines = [f"# Abuse benchmark, seeds {', '.join(map(str, seeds))}", "", *_attack_table(attacks), ""]
    for company in (False, True):
        chosen = [crowd for crowd in crowds if crowd.company == company]
        if chosen:
            lines += [f"## Honest callers {'among all attackers at once' if company else 'in peace'}", ""]
            lines += [*_group_table(pooled(group for crowd in chosen for group in crowd.groups)), ""]
    if crowds:
        used = [crowd.footprint for crowd in crowds]
        lines += [
            f"Redis: {mean(each.calls_per_request for each in used):.2f} script calls a request (one of them before "
            f"the answer), {mean(each.mean_bytes for each in used):.0f} bytes a caller on average, "
            f"{max(each.most_bytes for each in used)} at most.",
            "",
        ]
    failed = [check for check in checks(attacks, crowds) if not check.met]
    lines += ["## Goals not met", ""] + (
        [f"- {each.what}: {each.value}, goal {each.goal}" for each in failed] or ["none"]
    )
    return "\n".join(lines) + "\n"


def _attack_table(attacks: Sequence[AttackResult]) -> Iterator[str]:
    yield "Attack requests admitted after the first twenty, mean of the seeds."
    yield ""
    yield (
        "| attack | sent | "
        + " | ".join(PEERS)
        + " | ours | kept out (worst seed) | goal | contained after | room back |"
    )
    yield "|---|--:|" + "--:|" * len(PEERS) + "--:|--:|--:|--:|--:|"
    for name, figures in by_attack(attacks).items():
        goal = ATTACKERS[name].goal
        cells = [name, f"{mean(each.sent for each in figures):.0f}"]
        for gate in (*PEERS, "ours"):
            counts = [each.admitted[gate] for each in figures if gate in each.admitted]
            cells.append(f"{mean(counts):.0f}" if counts else "")
        cells.append(f"{reduction(figures):.1%} ({min(each.reduction for each in figures):.1%})")
        cells += [f"{goal:.0%}" if goal else "", _contained(figures), _recovered(figures)]
        yield "| " + " | ".join(cells) + " |"


def _contained(figures: Sequence[AttackFigures]) -> str:
    known = [each for each in figures if each.contained_after is not None and each.contained_s is not None]
    if len(known) < len(figures):
        return "never" if not known else f"in {len(known)} of {len(figures)}"
    after = mean(each.contained_after or 0 for each in known)
    return f"{after:.0f} requests, {mean(each.contained_s or 0.0 for each in known):.0f} s"


def _recovered(figures: Sequence[AttackFigures]) -> str:
    if any(each.recovered_s is None for each in figures):
        return "over 900 s"
    return f"{max(each.recovered_s or 0.0 for each in figures):.0f} s"


def _group_table(groups: Mapping[str, GroupFigures]) -> Iterator[str]:
    yield "| group | callers | requests | wrongly limited | share | callers hurt |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, group in sorted(groups.items(), key=lambda item: (item[0] == "overall", item[0])):
        yield (
            f"| {name} | {group.callers} | {group.sent} | {group.wrongly} | {group.share:.2%} | {group.callers_hurt} |"
        )


def write(folder: Path, attacks: Sequence[AttackResult], crowds: Sequence[PeopleResult], seeds: Sequence[int]) -> str:
    """Write page, figures and pictures; the page comes back."""
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(attacks, crowds, seeds)
    (folder / "report.md").write_text(page)
    figures = {
        "attacks": [asdict(result.figures) | {"cuts": dict(result.cuts)} for result in attacks],
        "people": [asdict(crowd) for crowd in crowds],
        "checks": [asdict(check) for check in checks(attacks, crowds)],
    }
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
    first: dict[str, AttackResult] = {}
    for result in attacks:
        first.setdefault(result.figures.attack, result)
    picture(list(first.values())).savefig(folder / "limits.png", dpi=110)
    return page


def picture(results: Sequence[AttackResult]) -> Figure:
    """For each attack: what came through a minute, here and with plain GCRA, and the factor of its first callers."""
    mpl.use("agg")
    rows = -(-len(results) // 3) or 1
    figure = Figure(figsize=(15, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False)
    for axes, result in zip(grid.flat, results, strict=False):
        bins = [float(minute) for minute in range(20, 101)]
        for times, name, colour in (
            (result.plain_min, "plain GCRA admits", "0.75"),
            (result.admitted_min, "admitted", "tab:red"),
        ):
            axes.hist(times, bins=bins, color=colour, label=name)
        axes.set_title(result.figures.attack, fontsize=9)
        axes.set_xlim(20, 101)
        beside = axes.twinx()
        for series in result.factors.values():
            beside.plot([at for at, _ in series], [factor for _, factor in series], lw=1, color="tab:blue", alpha=0.6)
        beside.set_ylim(0, 1.05)
    for axes in list(grid.flat)[len(results) :]:
        axes.set_visible(False)
    grid.flat[0].legend(fontsize=7)
    figure.supxlabel("minutes; blue: factor of the attack's first callers (right axis); bars: requests a minute")
    return figure
