"""make bench-abuse: attackers and honest callers on a virtual clock, against the real limiter on a real Redis.

    python -m benchmarks.abuse.run [--seeds 11-15] [--attack NAME]... [--no-people] [--no-service] [--scale 1.0]

Prints and writes (var/bench/abuse) what each attack got through here, with a fixed window, with plain GCRA and with
Flask-Limiter; who was wrongly limited; how fast room came back; what it costs Redis; and last, a few minutes of it
through the real HTTP service. The exit status is 1 if a goal is not met. docs/abuse.md explains the population, the
attackers and the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.abuse import experiments, report
from benchmarks.abuse.attackers import ATTACKERS
from benchmarks.abuse.experiments import AttackResult, PeopleResult, Stage, open_stage
from benchmarks.abuse.report import Results
from benchmarks.abuse.scores import PATH as SCORES
from benchmarks.abuse.service import Plan, through_service

OUTPUT: Final = Path("var/bench/abuse")
Job = tuple[str, int]  # an attack's name, or PEACE or COMPANY, and a seed
PEACE: Final = "honest callers in peace"
COMPANY: Final = "honest callers among all attackers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write the report; 1 if a goal is not met."""
    options = _parser().parse_args(arguments)
    begun = time.monotonic()
    stage = open_stage(options.bundle, options.scores)  # fills the cache once, before the workers want it
    results = _gathered(options, stage.pool.bundle)
    tables = report.write(options.output, results)
    print(tables)
    if options.page:
        report.put_into(options.page, tables)
    print(f"{time.monotonic() - begun:.0f} s; written to {options.output}")
    return 0 if all(check.met for check in report.checks(results)) else 1


def _gathered(options: argparse.Namespace, bundle: str) -> Results:
    jobs: list[Job] = [] if options.no_people else [(who, seed) for seed in options.seeds for who in (COMPANY, PEACE)]
    jobs += [(name, seed) for seed in options.seeds for name in options.attack or ATTACKERS]
    work = functools.partial(_job, bundle=options.bundle, scores=options.scores, scale=options.scale)
    attacks: list[AttackResult] = []
    crowds: list[PeopleResult] = []
    # Not forked: the embedded Redis must not inherit another worker's descriptors.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for (name, seed), result in zip(jobs, pool.map(work, jobs), strict=True):
            if isinstance(result, AttackResult):
                attacks.append(result)
                outcome = f"{result.figures.reduction:.1%} kept out"
            else:
                crowds.append(result)
                outcome = f"{sum(group.wrongly for group in result.groups)} requests wrongly limited"
            print(f"seed {seed}, {name}: {outcome}", file=sys.stderr)
    service = None
    if not options.no_service:
        print("through the HTTP service, in real time", file=sys.stderr)
        plan = Plan(seed=options.seeds[0])
        service = asyncio.run(through_service(plan, _stage(options.bundle, options.scores).corpus, options.bundle))
    return Results(options.seeds, bundle, attacks, crowds, service)


def _job(job: Job, *, bundle: str, scores: Path, scale: float) -> AttackResult | PeopleResult:
    name, seed = job
    stage = _stage(bundle, scores)
    if name in (PEACE, COMPANY):
        return experiments.people(stage, seed, company=name == COMPANY, scale=scale)
    return experiments.attack(stage, name, seed)


@functools.cache
def _stage(bundle: str, scores: Path) -> Stage:
    return open_stage(bundle, scores)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if last:
        return list(range(int(first), int(last) + 1))
    return [int(seed) for seed in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=_seeds, default=_seeds("11-15"), help="11-15 or 1,2,3 (default: 11-15)")
    parser.add_argument("--attack", action="append", choices=list(ATTACKERS), help="only this one; may be given again")
    parser.add_argument("--no-people", action="store_true", help="leave out the honest population")
    parser.add_argument("--no-service", action="store_true", help="leave out the run through the HTTP service")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the honest population")
    parser.add_argument("--bundle", default="production", help="whose embeddings the texts have")
    parser.add_argument("--scores", type=Path, default=SCORES, help="scores.json, or a table of training.evaluate")
    parser.add_argument("--page", type=Path, help="put the tables between the marks of this page")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser


if __name__ == "__main__":
    sys.exit(main())
