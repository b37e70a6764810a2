"""One attack alone, or the whole honest population, through our limiter and the peers, for one seed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.abuse import corpus as corpora
from benchmarks.abuse.attackers import ATTACKERS, Attacker
from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.corpus import Corpus
from benchmarks.abuse.figures import AttackFigures, GroupFigures, attack_figures, group_figures
from benchmarks.abuse.ours import Footprint, Ours, footprint, open_ours
from benchmarks.abuse.peers import FixedWindow, PlainGcra
from benchmarks.abuse.population import Span, population
from benchmarks.abuse.scores import PATH as SCORES
from benchmarks.abuse.scores import ScorePool
from benchmarks.abuse.traffic import MINUTE, SECOND, Sender
from benchmarks.abuse.world import Run, run
from serving.policy import Policy, load_policy
from serving.principal import Caller

POLICY: Final = Path(__file__).parents[2] / "serving" / "policy.yaml"
WARM_UP: Final = 25 * MINUTE
AFTER: Final = 15 * MINUTE
LOOK_EVERY: Final = 20 * SECOND
FOLLOWED: Final = 250  # callers of an attack whose recovery is followed
Series = Mapping[str, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Stage:
    """What every run needs; `small` takes a corpus without a model, for tests."""

    policy: Policy
    corpus: Corpus
    pool: ScorePool


@dataclass(frozen=True, slots=True)
class AttackResult:
    """Figures of one attack, and what a picture needs: minutes of admitted and refused, factors of some callers."""

    figures: AttackFigures
    admitted_min: tuple[float, ...]
    refused_min: tuple[float, ...]
    plain_min: tuple[float, ...]
    factors: Series
    cuts: Mapping[str, int]
    beside: tuple[GroupFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleResult:
    """Figures of the honest groups of one seed. `company`: with all attackers at the same time."""

    seed: int
    company: bool
    groups: tuple[GroupFigures, ...]
    cuts: Mapping[str, int]
    footprint: Footprint


def open_stage(bundle: str | None = "production", scores: Path = SCORES) -> Stage:
    """The stage with the embeddings of a bundle, or without a model if `bundle` is None."""
    corpus = corpora.load(bundle) if bundle else corpora.random_corpus(7)
    return Stage(load_policy(POLICY), corpus, ScorePool.load(scores, bundle or "production"))


def attack(stage: Stage, name: str, seed: int, *, flask: bool = True) -> AttackResult:
    """One attack alone in the world (with those beside it), against our limiter and the peers."""
    return asyncio.run(_attack(stage, ATTACKERS[name], seed, flask=flask))


def people(stage: Stage, seed: int, *, company: bool, scale: float = 1.0) -> PeopleResult:
    """The honest population, alone or in the company of every attacker."""
    return asyncio.run(_people(stage, seed, company=company, scale=scale))


@dataclass(slots=True)
class _Recovery:
    """Looks at the callers of an attack: when each has all its room back after the end."""

    gate: Ours
    callers: list[Caller]
    end_us: int
    factors: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    recovered_s: float | None = None

    async def look(self, at_us: int) -> None:
        await self.gate.settle(at_us)
        everybody = True
        for number, caller in enumerate(self.callers):
            if number >= 4 and at_us < self.end_us:
                break
            factor, full = await self.gate.room(caller)
            everybody = everybody and full
            if number < 4:
                self.factors.setdefault(caller.principal, []).append((at_us / MINUTE, factor))
        if at_us >= self.end_us:
            self.recovered_s = self._since_end(everybody, (at_us - self.end_us) / SECOND)

    def _since_end(self, everybody: bool, since_s: float) -> float | None:
        if not everybody:
            return None
        return since_s if self.recovered_s is None else self.recovered_s


async def _attack(stage: Stage, attacker: Attacker, seed: int, *, flask: bool) -> AttackResult:
    span = Span(0, WARM_UP, WARM_UP + attacker.minutes * MINUTE, WARM_UP + attacker.minutes * MINUTE + AFTER)
    plain = await run(PlainGcra(stage.policy, VirtualClock()), _senders(attacker, seed, span))
    runs = {
        "plain GCRA": plain,
        "fixed window": await run(FixedWindow(stage.policy), _senders(attacker, seed, span)),
    }
    if flask and find_spec("flask_limiter"):
        from benchmarks.abuse.flask_peer import open_flask_limiter  # noqa: PLC0415  not everybody has it

        with open_flask_limiter(stage.policy, VirtualClock()) as peer:
            runs["Flask-Limiter"] = await run(peer, _senders(attacker, seed, span))
    callers = list(
        {fate.ask.caller.principal: fate.ask.caller for fate in plain.malicious() if fate.ask.known}.values()
    )
    async with open_ours(stage.policy, stage.corpus, stage.pool) as (gate, _):
        recovery = _Recovery(gate, callers[:FOLLOWED], span.attack_end_us)
        senders = _senders(attacker, seed, span)
        ours = await run(gate, senders, look=recovery.look, every_us=LOOK_EVERY, until_us=span.end_us)
        cuts = _named(gate.cuts)
    figures = attack_figures(attacker.name, seed, {"ours": ours, **runs}, recovery.recovered_s)
    return AttackResult(
        figures,
        _minutes(ours, admitted=True),
        _minutes(ours, admitted=False),
        _minutes(plain, admitted=True),
        recovery.factors,
        cuts,
        tuple(group_figures(ours, plain)),
    )


async def _people(stage: Stage, seed: int, *, company: bool, scale: float) -> PeopleResult:
    span = Span(0, WARM_UP, WARM_UP + 30 * MINUTE, WARM_UP + 30 * MINUTE + AFTER + 10 * MINUTE)

    def senders() -> Iterator[Sender]:
        yield from population(seed, span, scale)
        for attacker in ATTACKERS.values() if company else ():
            yield from attacker.senders(Random(f"{seed}:{attacker.name}"), span)

    plain = await run(PlainGcra(stage.policy, VirtualClock()), senders())
    async with open_ours(stage.policy, stage.corpus, stage.pool) as (gate, connection):
        ours = await run(gate, senders())
        used = await footprint(connection, len(ours.fates))
        return PeopleResult(seed, company, tuple(group_figures(ours, plain)), _named(gate.cuts), used)


def _senders(attacker: Attacker, seed: int, span: Span) -> Iterator[Sender]:
    yield from attacker.senders(Random(f"{seed}:{attacker.name}"), span)
    if attacker.beside:
        yield from attacker.beside(Random(f"{seed}:{attacker.beside.__name__}"), span, 1.0)


def _minutes(found: Run, *, admitted: bool) -> tuple[float, ...]:
    return tuple(fate.ask.at_us / MINUTE for fate in found.malicious() if fate.reply.admitted == admitted)


def _named(cuts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {f"{level}: {signal}": count for (level, signal), count in sorted(cuts.items())}
