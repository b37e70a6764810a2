"""Measure a model as it is served, on any labelled texts.

    python -m training.evaluate --bundle production --data ../shared/data/eval \
        --scores var/eval/scores.parquet --report var/eval/report.json --html var/eval/report.html

Texts go through `models.classifier`, the path that answers requests, so the figure reported is the figure
served. Nothing is tuned here: thresholds at a false-positive rate are read off the test data to compare
models, the served ones come from the bundle. `--from-scores` makes the report again without the model.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import datasets
import yaml

from data.schema import Action
from models.bundle import BundleError
from models.classifier import Classifier
from models.registry import RegistryError
from training.benchmarks import build_report
from training.measure import Figures, Sampling
from training.metrics import load_metrics
from training.report import render_page, summary, write_text
from training.rows import (
    KINDS,
    RowsError,
    ScoredRows,
    ScoringFacts,
    join_scores,
    read_rows,
    read_scores,
    sample_rows,
    served_thresholds,
    unknown_kinds,
    write_scores,
)
from training.scoring import Progress, add_options, chosen_bundle, score_texts

_CACHE = Path("var/cache/evaluate")
POLICY = Path(__file__).parents[1] / "serving" / "policy.yaml"
SERVED_POINT = "fpr_1%"  # of a category that the policy does not name


def main(argv: Sequence[str] | None = None) -> int:
    """Score, measure, write; exit status 2 if the bundle or the data cannot be used."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = _parse(given)
    try:
        rows = _known(arguments.from_scores) if arguments.from_scores else _score(arguments)
    except (RowsError, BundleError, RegistryError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    if arguments.scores:
        write_scores(rows, arguments.scores)
    print("measuring", file=sys.stderr)
    report = _facts(rows.facts, given) | build_report(
        rows, load_metrics(_CACHE), Sampling(arguments.replicates, arguments.seed)
    )
    if arguments.report:
        write_text(arguments.report, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if arguments.html:
        write_text(arguments.html, render_page(report, rows))
    print(summary(report))
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description="Measure a model as it is served.")
    add_options(parser)
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="parquet files, or folders of them")
    parser.add_argument("--scores", type=Path, help="write one row of scores per text here (parquet)")
    parser.add_argument("--report", type=Path, help="write the figures here (JSON)")
    parser.add_argument("--html", type=Path, help="write a page with plots here")
    parser.add_argument("--from-scores", type=Path, help="report on scores written before, without the model")
    parser.add_argument("--limit", type=int, help="at most so many rows of each set and kind")
    parser.add_argument("--seed", type=int, default=5, help="which rows --limit draws, and the intervals' seed")
    parser.add_argument(
        "--point", action="append", default=[], metavar="NAME or CATEGORY=NAME",
        help="operating point that is served (default: what the default policy flags or blocks at); may be given again",
    )  # fmt: skip
    parser.add_argument("--replicates", type=int, default=300, help="bootstrap replicates of the intervals")
    arguments = parser.parse_args(argv)
    if bool(arguments.data) == bool(arguments.from_scores):
        parser.error("give either --data or --from-scores")
    if arguments.limit is not None and arguments.limit < 1:
        parser.error("--limit is the most rows of each set and kind, at least 1")
    return arguments


def _score(arguments: argparse.Namespace) -> ScoredRows:
    bundle = chosen_bundle(arguments)
    names, thresholds = served_thresholds(bundle.manifest.operating_points, *_points(arguments.point))
    facts = ScoringFacts(bundle.manifest.version, bundle.manifest.commit, bundle.manifest.data_hash, names, thresholds)
    rows = read_rows(arguments.data)
    if arguments.limit is not None:
        rows = rows.select(sample_rows(list(rows["source"]), list(rows["kind"]), arguments.limit, arguments.seed))
    _say_unknown(unknown_kinds(rows), len(rows))
    return _judge(Classifier.load(bundle, threads=1), rows, facts, arguments.workers)


def _known(path: Path) -> ScoredRows:
    rows = read_scores(path)
    _say_unknown(rows.facts.unknown_kinds, len(rows.ids))
    return rows


def _say_unknown(count: int, total: int) -> None:
    if count:
        line = f"{count:,} of {total:,} rows have a kind that is none of {', '.join(KINDS)}: scored, not measured"
        print(f"evaluate: {line}", file=sys.stderr)


def _judge(classifier: Classifier, rows: datasets.Dataset, facts: ScoringFacts, workers: int) -> ScoredRows:
    found = score_texts(classifier, list(rows["text"]), workers=workers, progress=Progress(len(rows)))
    return join_scores(rows, found.scores, found.tokens, found.windows, facts)


def _points(given: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Default point and those of single categories, from `NAME` and `CATEGORY=NAME`; else from the default policy."""
    overrides = dict(item.split("=", 1) for item in given if "=" in item)
    defaults = [item for item in given if "=" not in item]
    if defaults:
        return defaults[-1], overrides
    return SERVED_POINT, policy_points(POLICY) | overrides


def policy_points(policy: Path) -> dict[str, str]:
    """The point of each category at which the default policy's mildest rule for input applies.

    The policy is read as the document it is: training knows nothing of serving's code, which checks it.
    """
    rules: dict[str, dict[str, str]] = yaml.safe_load(policy.read_text())["policies"]["default"]["input"]
    return {category: levels[min(levels, key=lambda name: Action(name).severity)] for category, levels in rules.items()}


def _facts(facts: ScoringFacts, argv: Sequence[str]) -> Figures:
    return {
        "schema": 1,
        "command": f"python -m training.evaluate {shlex.join(argv)}",
        "bundle": facts.bundle,
        "commit": facts.commit,
        "data_hash": facts.data_hash,
        "unknown_kinds": facts.unknown_kinds,
        "points": dict(facts.points),
        "thresholds": dict(facts.thresholds),
    }


if __name__ == "__main__":
    sys.exit(main())
