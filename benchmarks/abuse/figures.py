"""The figures of a run: what attackers got through, who was wrongly held back, and how fast room came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.abuse.traffic import SECOND
from benchmarks.abuse.world import Fate, Run

FREE: Final = 20  # the first malicious requests, by which an attack is to be recognised
CONTAINED_OF: Final = 40
CONTAINED_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class AttackFigures:
    """One attack of one seed. ``admitted``: after the first twenty, by limiter; ``since_onset``: here, with those.

    ``reduction`` is the share of what plain GCRA admits after the first twenty that is kept out here.
    ``contained_after`` requests and ``contained_s`` seconds since onset at most a tenth of forty requests in a row
    were admitted; None: never. ``recovered_s``: from the attack's end until all its callers had full room again.
    """

    attack: str
    seed: int
    sent: int
    since_onset: int
    admitted: Mapping[str, int]
    reduction: float
    contained_after: int | None
    contained_s: float | None
    recovered_s: float | None = None


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One honest group: requests, those refused here, and those of them that plain GCRA admits ("wrongly")."""

    group: str
    sent: int
    refused: int
    wrongly: int
    lowered: int
    callers: int
    callers_hurt: int

    @property
    def share(self) -> float:
        """Share of its requests wrongly refused."""
        return self.wrongly / self.sent if self.sent else 0.0


def attack_figures(attack: str, seed: int, runs: Mapping[str, Run], recovered_s: float | None) -> AttackFigures:
    """Compare the runs of one attack; ``runs`` holds `ours` and `plain GCRA` at least."""
    evil = {name: run.malicious() for name, run in runs.items()}
    admitted = {name: sum(fate.reply.admitted for fate in fates[FREE:]) for name, fates in evil.items()}
    # An attacker that reacts sends less where it is refused: what counts is what got through.
    base = admitted["plain GCRA"]
    after, seconds = containment(evil["ours"])
    reduction = 1 - admitted["ours"] / base if base else 0.0
    since_onset = sum(fate.reply.admitted for fate in evil["ours"])
    return AttackFigures(attack, seed, len(evil["ours"]), since_onset, admitted, reduction, after, seconds, recovered_s)


def containment(fates: Sequence[Fate]) -> tuple[int | None, float | None]:
    """Requests and seconds from onset to the first forty of which at most a tenth is admitted."""
    passed = [fate.reply.admitted for fate in fates]
    for at in range(len(fates)):
        ahead = passed[at : at + CONTAINED_OF]
        if len(ahead) < CONTAINED_OF // 4:
            break
        if sum(ahead) <= CONTAINED_SHARE * len(ahead):
            return at, (fates[at].ask.at_us - fates[0].ask.at_us) / SECOND
    return None, None


def group_figures(ours: Run, plain: Run) -> list[GroupFigures]:
    """Honest groups of two runs of the same open-loop traffic; what an attacker sends between attacks is not honest."""
    theirs = {(fate.ask.caller.principal, fate.ask.at_us): fate.reply.admitted for fate in plain.fates if fate.honest}
    found: dict[str, list[Fate]] = defaultdict(list)
    for fate in ours.fates:
        if fate.honest and fate.ask.known:
            found[fate.group].append(fate)
    return [_group(name, fates, theirs) for name, fates in sorted(found.items())]


def _group(name: str, fates: Sequence[Fate], theirs: Mapping[tuple[str, int], bool]) -> GroupFigures:
    refused = [fate for fate in fates if not fate.reply.admitted]
    wrongly = [fate for fate in refused if theirs.get((fate.ask.caller.principal, fate.ask.at_us), False)]
    return GroupFigures(
        name,
        len(fates),
        len(refused),
        len(wrongly),
        sum(fate.reply.factor < 1 for fate in fates),
        len({fate.ask.caller.principal for fate in fates}),
        len({fate.ask.caller.principal for fate in wrongly}),
    )


def pooled(groups: Iterable[GroupFigures]) -> dict[str, GroupFigures]:
    """Groups of several seeds added up by name; under `overall` all of them."""
    total: dict[str, GroupFigures] = {}
    for each in groups:
        for name in (each.group, "overall"):
            old = total.get(name, GroupFigures(name, 0, 0, 0, 0, 0, 0))
            total[name] = GroupFigures(
                name,
                old.sent + each.sent,
                old.refused + each.refused,
                old.wrongly + each.wrongly,
                old.lowered + each.lowered,
                old.callers + each.callers,
                old.callers_hurt + each.callers_hurt,
            )
    return total
