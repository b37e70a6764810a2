"""The report of `make bench-abuse`: a page of markdown, its figures as JSON, and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Final

from benchmarks.abuse import pictures
from benchmarks.abuse.attackers import ATTACKERS
from benchmarks.abuse.experiments import AttackResult, PeopleResult
from benchmarks.abuse.figures import AttackFigures, GroupFigures, pooled
from benchmarks.abuse.service import ServiceResult
from benchmarks.abuse.traffic import MINUTE

OVERALL_GOAL: Final = 0.001
GROUP_GOAL: Final = 0.005
RECOVERY_GOAL_S: Final = 600.0
BYTES_GOAL: Final = 2048
PEERS: Final = ("fixed window", "plain GCRA", "Flask-Limiter")
BEGIN: Final = "<!-- figures of make bench-abuse: begin -->"
END: Final = "<!-- figures of make bench-abuse: end -->"
PICTURED: Final = (
    "spam",
    "low and slow, 2/min",
    "rotation, 20 a key",
    "leaked key",
    "stuffing",
    "cost abuse",
    "paraphrase campaign",
    "probe",
    "patient",
)
WHERE: Final[Mapping[bool, str]] = {False: "in peace", True: "among all attackers at once"}


@dataclass(frozen=True, slots=True)
class Check:
    """One acceptance number: what it is about, what came out, and whether that is good enough."""

    what: str
    value: str
    goal: str
    met: bool


@dataclass(frozen=True, slots=True)
class Results:
    """All that was run. `bundle` is the version of the model whose scores were drawn; `service`: through HTTP."""

    seeds: Sequence[int]
    bundle: str
    attacks: Sequence[AttackResult]
    crowds: Sequence[PeopleResult]
    service: ServiceResult | None = None

    def by_attack(self) -> dict[str, list[AttackFigures]]:
        """Figures of all seeds by attack, in the order of the attackers."""
        found: dict[str, list[AttackFigures]] = {name: [] for name in ATTACKERS}
        for result in self.attacks:
            found[result.figures.attack].append(result.figures)
        return {name: figures for name, figures in found.items() if figures}

    def groups(self, *, company: bool) -> dict[str, GroupFigures]:
        """The honest groups of all seeds added up."""
        return pooled(group for crowd in self.crowds if crowd.company == company for group in crowd.groups)


def reduction(figures: Sequence[AttackFigures]) -> float:
    """Over all seeds together: the share of what plain GCRA admits after the first twenty that we keep out."""
    base = sum(each.admitted["plain GCRA"] for each in figures)
    return 1 - sum(each.admitted["ours"] for each in figures) / base if base else 0.0


def checks(results: Results) -> Iterator[Check]:
    """The acceptance numbers, all seeds together."""
    for name, figures in results.by_attack().items():
        goal = ATTACKERS[name].goal
        if goal is not None:
            value, worst = reduction(figures), min(each.reduction for each in figures)
            yield Check(f"{name}: kept out", f"{value:.1%} (worst {worst:.1%})", f"at least {goal:.0%}", value >= goal)
        slow = [each for each in figures if each.recovered_s is None or each.recovered_s > RECOVERY_GOAL_S]
        yield Check(f"{name}: all room back", _recovered(figures), f"within {RECOVERY_GOAL_S:.0f} s", not slow)
    for company, where in WHERE.items():
        for name, group in results.groups(company=company).items():
            yield _harm_check(f"{name}, {where}", group)
    for name, group in pooled(group for result in results.attacks for group in result.beside).items():
        if name != "overall":
            yield _harm_check(f"{name}, beside an attack", group)
    if results.crowds:
        most = max(crowd.footprint.most_bytes for crowd in results.crowds)
        yield Check("bytes of one caller in Redis", str(most), f"at most {BYTES_GOAL}", most <= BYTES_GOAL)

    if results.service:
        yield from _service_checks(results.service)


def _service_checks(service: ServiceResult) -> Iterator[Check]:
    for each in service.attacks:
        goal = ATTACKERS[each.attack].goal
        if goal is not None:
            value = each.reduction
            yield Check(f"{each.attack}, through HTTP: kept out", f"{value:.1%}", f"at least {goal:.0%}", value >= goal)
        back = "yes" if each.room_back else "no"
        yield Check(f"{each.attack}, through HTTP: factor is whole ten minutes later", back, "yes", each.room_back)


def _harm_check(who: str, group: GroupFigures) -> Check:
    goal = OVERALL_GOAL if group.group == "overall" else GROUP_GOAL
    return Check(f"{who}: wrongly limited", f"{group.share:.2%}", f"at most {goal:.1%}", group.share <= goal)


def markdown(results: Results) -> str:
    """The tables, without a title."""
    seeds = ", ".join(map(str, results.seeds))
    lines = [f"Seeds {seeds}; scores of bundle {results.bundle}.", "", *_attack_table(results), ""]
    for company, where in WHERE.items():
        groups = results.groups(company=company)
        if groups:
            lines += [f"Honest callers {where}:", "", *_group_table(groups), ""]
    if results.crowds:
        lines += [_footprint(results.crowds), ""]
    if results.service:
        lines += [*_service_table(results.service), ""]
    failed = [f"- {check.what}: {check.value}, goal {check.goal}" for check in checks(results) if not check.met]
    return "\n".join([*lines, "Goals not met:" if failed else "All goals are met.", "", *failed]).rstrip() + "\n"


def _attack_table(results: Results) -> Iterator[str]:
    yield "Attack requests admitted after the first twenty (in brackets: since onset), mean of the seeds:"
    yield ""
    peers = " | ".join(PEERS)
    yield f"| attack | sent | {peers} | Weir | kept out (worst seed) | goal | contained after | all room back |"
    yield "|---|--:|" + "--:|" * len(PEERS) + "--:|--:|--:|--:|--:|"
    for name, figures in results.by_attack().items():
        goal = ATTACKERS[name].goal
        cells = [name, f"{mean(each.sent for each in figures):.0f}"]
        for gate in PEERS:
            counts = [each.admitted[gate] for each in figures if gate in each.admitted]
            cells.append(f"{mean(counts):.0f}" if counts else "not installed")
        ours, since = mean(each.admitted["ours"] for each in figures), mean(each.since_onset for each in figures)
        cells.append(f"{ours:.0f} ({since:.0f})")
        cells.append(f"{reduction(figures):.1%} ({min(each.reduction for each in figures):.1%})")
        cells += [f"{goal:.0%}" if goal else "", _contained(figures), _recovered(figures)]
        yield "| " + " | ".join(cells) + " |"


def _contained(figures: Sequence[AttackFigures]) -> str:
    known = [each for each in figures if each.contained_after is not None and each.contained_s is not None]
    if not known:
        return "never"
    after = mean(each.contained_after or 0 for each in known)
    text = f"{after:.0f} requests, {mean(each.contained_s or 0.0 for each in known):.0f} s"
    return text if len(known) == len(figures) else f"{text} (in {len(known)} of {len(figures)})"


def _recovered(figures: Sequence[AttackFigures]) -> str:
    if any(each.recovered_s is None for each in figures):
        return "over 900 s"
    return f"{max(each.recovered_s or 0.0 for each in figures):.0f} s"


def _group_table(groups: Mapping[str, GroupFigures]) -> Iterator[str]:
    yield "| group | callers | requests | at a lowered limit | wrongly limited | share | callers hurt |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, group in sorted(groups.items(), key=lambda item: (item[0] == "overall", item[0])):
        cells = (
            name,
            group.callers,
            group.sent,
            group.lowered,
            group.wrongly,
            f"{group.share:.2%}",
            group.callers_hurt,
        )
        yield "| " + " | ".join(map(str, cells)) + " |"


def _service_table(service: ServiceResult) -> Iterator[str]:
    plan, honest = service.plan, service.groups["overall"]
    minutes = (plan.span.attack_end_us - plan.span.attack_us) / MINUTE
    yield (
        f"Through the HTTP service with bundle {service.bundle}, {minutes:.0f} minutes of attacks all at once, at "
        f"{plan.speed:g} times their speed; admitted after the first twenty:"
    )
    yield ""
    yield "| attack | sent | limits that do not adapt | Weir | kept out | factor whole ten minutes later |"
    yield "|---|--:|--:|--:|--:|---|"
    for each in service.attacks:
        back = "yes" if each.room_back else "no"
        yield f"| {each.attack} | {each.sent} | {each.plainly} | {each.admitted} | {each.reduction:.1%} | {back} |"
    yield ""
    yield (
        f"Of {honest.sent} honest requests beside them {honest.wrongly} were refused that limits which do not adapt "
        f"admit ({_hurt(service.groups)}); an answer took {service.median_ms:.0f} ms at the median."
    )


def _hurt(groups: Mapping[str, GroupFigures]) -> str:
    hurt = [f"{name} {group.wrongly}" for name, group in groups.items() if group.wrongly and name != "overall"]
    return ", ".join(hurt) or "nobody"


def _footprint(crowds: Sequence[PeopleResult]) -> str:
    used = [crowd.footprint for crowd in crowds]
    calls, usual = mean(each.calls_per_request for each in used), mean(each.mean_bytes for each in used)
    most = max(each.most_bytes for each in used)
    return (
        f"Redis: {calls:.2f} script calls a request, one of them before the answer; "
        f"{usual:.0f} bytes a caller on average and {most} at most, leases of running requests aside."
    )


def write(folder: Path, results: Results) -> str:
    """Write the tables, the figures and the pictures; the tables come back."""
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(results)
    (folder / "report.md").write_text(page)
    figures = {
        "seeds": list(results.seeds),
        "bundle": results.bundle,
        "attacks": [asdict(result.figures) | {"cuts": dict(result.cuts)} for result in results.attacks],
        "people": [asdict(crowd) for crowd in results.crowds],
        "service": asdict(results.service) if results.service else None,
        "checks": [asdict(check) for check in checks(results)],
    }
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
    first: dict[str, AttackResult] = {}
    for result in results.attacks:
        first.setdefault(result.figures.attack, result)
    chosen = [first[name] for name in PICTURED if name in first] or list(first.values())
    pictures.save(chosen, folder / "limits.svg")
    return page


def put_into(page: Path, tables: str) -> None:
    """Replace what stands between the marks of a page. Raises ValueError if a mark is missing."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the marks for the figures")
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")
