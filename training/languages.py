"""Which languages a model works for, and which scripts it reads.

    python -m training.languages --bundle production --out var/evaluation/languages.json

Measured on the validation side of our own multilingual generator, whose templates no training row was made from, and
on the rows of other multilingual corpora that `--dataset` keeps for validation; test sets play no part, because what
is found decides what serving marks as unread. A script counts as read if injections written in it are found and
harmless texts are left alone, as served. `training.model_card --languages` puts the table into the card and the
scripts into the bundle.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from data.generators import generate
from data.schema import CATEGORIES, Coverage, Example, Kind
from data.sources import SourceUnavailableError, load
from models.bundle import BundleError, Manifest
from models.classifier import Classifier
from models.legibility import LATIN, script_of
from models.registry import RegistryError
from training.evaluate import POLICY, SERVED_POINT, policy_points
from training.measure import Figures, share
from training.metrics.curves import BoolArray
from training.report import write_text
from training.rows import served_thresholds
from training.scoring import Progress, add_options, chosen_bundle, score_texts

# A script is read from here on; below, a low score in it says too little.
LEAST_RECALL: Final = 0.7
MOST_ALARMS: Final = 0.05
_LEAST_TEXTS: Final = 20  # of each class, or nothing is said of the script
_OWN_WORDS: Final = frozenset({"request", "trigger", "request_and_trigger", "document", "plain", "lead", "in_document"})
_CORPORA: Final = ("multijail", "yanismiraoui_prompt_injections")
_DRAWN: Final = 40_000
_SHARES: Final = (0.0, 0.4, 0.6, 0.8, 0.9, 1.0, 1.01)
_SPELT: Final = 0.25  # a language writes in a script that holds this share of its letters


@dataclass(frozen=True)
class Row:
    """One text, where it comes from, and the code of its language, or "" if nobody said."""

    text: str
    kind: Kind
    source: str
    language: str


@dataclass(frozen=True)
class Judged:
    """What became of n rows, [n] each: flagged as injection, for any harm, and how well they could be read."""

    injection: BoolArray
    harm: BoolArray
    coverage: Sequence[Coverage]


def generated_rows(seed: int, per: int) -> list[Row]:
    """At most `per` attacks and `per` harmless texts of each language, and of English, in that language alone."""
    rows: list[Row] = []
    taken: Counter[tuple[str, bool]] = Counter()
    drawn = [*generate("multilingual", seed, _DRAWN), *generate("direct", seed, _DRAWN // 10)]
    for example in drawn:
        language = example.labels.get("language", "en")
        own = language == "en" or example.labels["shape"] in _OWN_WORDS
        place = (language, example.kind is Kind.BENIGN)
        if own and example.split == "validation" and taken[place] < per:
            taken[place] += 1
            rows.append(Row(example.text, example.kind, example.source, language))
    return rows


def corpus_rows(dataset: Path) -> list[Row]:
    """Rows of multilingual corpora that the built dataset keeps for validation, of those that can be had."""
    table = pq.read_table(dataset / "validation.parquet", columns=["id", "source"])
    kept = set(zip(table["source"].to_pylist(), table["id"].to_pylist(), strict=True))
    rows: list[Row] = []
    for name in _CORPORA:
        try:
            examples: Iterable[Example] = load(name)
            found = [Row(e.text, e.kind, name, e.labels.get("lang", "")) for e in examples if (name, e.id) in kept]
        except SourceUnavailableError as error:
            print(f"languages: left out: {error}", file=sys.stderr)
            continue
        rows += found
    return rows


def judge(classifier: Classifier, rows: Sequence[Row], thresholds: Mapping[str, float], workers: int) -> Judged:
    """Every row as it is served."""
    texts = [row.text for row in rows]
    scores = score_texts(classifier, texts, workers=workers, progress=Progress(len(texts))).scores
    flags = scores >= np.array([thresholds[category.value] for category in CATEGORIES])
    return Judged(
        injection=flags[:, 0],
        harm=np.asarray(flags[:, 1:].any(axis=1)),
        coverage=cover(classifier, rows),
    )


def cover(classifier: Classifier, rows: Sequence[Row]) -> list[Coverage]:
    """How well every row can be read."""
    return [classifier.prepare(row.text).coverage for row in rows]


def by_language(rows: Sequence[Row], judged: Judged) -> dict[str, Figures]:
    """Figures of each language of our own rows, by code."""
    found = {}
    for language in sorted({row.language for row in rows}):
        here = np.array([row.language == language for row in rows])
        texts = [row.text for row in rows if row.language == language]
        found[language] = {"scripts": scripts_of(texts)} | _figures(rows, judged, here)
    return found


def by_script(rows: Sequence[Row], judged: Judged, languages: Mapping[str, Figures]) -> dict[str, Figures]:
    """Figures of each script over the languages that are written in it, and whether it counts as read."""
    members: dict[str, set[str]] = defaultdict(set)
    for language, figures in languages.items():
        for script in figures["scripts"]:
            members[script].add(language)
    found = {}
    for script, codes in sorted(members.items()):
        here = np.array([row.language in codes for row in rows])
        figures = _figures(rows, judged, here)
        found[script] = {"languages": sorted(codes), **figures, "read": script == LATIN or is_read(figures)}
    return found


def by_corpus(rows: Sequence[Row], judged: Judged) -> dict[str, dict[str, Figures]]:
    """Figures of the corpora, by corpus and language; without one, by the script of most letters."""
    places = [(row.source, row.language or (scripts_of([row.text]) or ["none"])[0]) for row in rows]
    found: dict[str, dict[str, Figures]] = {}
    for source, part in sorted(set(places)):
        here = np.array([place == (source, part) for place in places])
        found.setdefault(source, {})[part] = _figures(rows, judged, here)
    return found


def by_share(rows: Sequence[Row], judged: Judged) -> dict[str, Figures]:
    """Figures by the share of the letters that can be read, of the rows without foreign letters: the bound's reason."""
    found = {}
    readable = np.array([seen.readable for seen in judged.coverage])
    native = np.array([seen.foreign == 0 for seen in judged.coverage])
    for low, high in itertools.pairwise(_SHARES):
        here = native & (readable >= low) & (readable < high)
        if here.any():
            found[f"{low:g}-{min(high, 1.0):g}"] = _figures(rows, judged, np.asarray(here))
    return found


def is_read(figures: Figures) -> bool:
    """Whether injections are found and harmless texts left alone, on enough texts of both."""
    recall, alarms = figures["recall"], figures["false_positives"]
    if recall is None or alarms is None or min(recall["of"], alarms["of"]) < _LEAST_TEXTS:
        return False
    return bool(recall["value"] >= LEAST_RECALL and alarms["value"] <= MOST_ALARMS)


def scripts_of(texts: Iterable[str]) -> list[str]:
    """The scripts that hold a good part of the letters, that of most letters first."""
    letters = Counter(script_of(letter) for text in texts for letter in text if letter.isalpha())
    return [script for script, count in letters.most_common() if count >= _SPELT * letters.total()]


def _figures(rows: Sequence[Row], judged: Judged, here: BoolArray) -> Figures:
    kinds = np.array([row.kind.value for row in rows])
    illegible = np.array([not seen.legible for seen in judged.coverage], dtype=np.bool_)
    attack = here & np.isin(kinds, [Kind.INJECTION.value, Kind.JAILBREAK.value])
    benign = here & (kinds == Kind.BENIGN.value)
    return {
        "recall": share(judged.injection, attack),
        "false_positives": share(judged.injection, benign),
        "harm_recall": share(judged.harm, here & (kinds == Kind.HARM.value)),
        "harm_false_positives": share(judged.harm, benign),
        "missed_unmarked": share(~judged.injection & ~illegible, attack),
        "illegible": share(illegible, here),
    }


def build_report(classifier: Classifier, dataset: Path | None, *, seed: int, per: int, workers: int) -> Figures:
    """Everything that is measured, ready for JSON; `read` names the scripts that serving should take as read."""
    points, thresholds = _served(classifier.manifest)
    own = generated_rows(seed, per)
    corpora = corpus_rows(dataset) if dataset else []
    judged = judge(classifier, own, thresholds, workers)
    scripts = by_script(own, judged, by_language(own, judged))
    read = [LATIN, *(script for script, figures in scripts.items() if figures["read"] and script != LATIN)]
    reader = classifier.reading(read)  # marks are those of the bundle that will name these scripts
    judged = replace(judged, coverage=cover(reader, own))
    return {
        "schema": 1,
        "bundle": classifier.version,
        "points": points,
        "rule": {"recall": LEAST_RECALL, "false_positives": MOST_ALARMS, "texts": _LEAST_TEXTS},
        "languages": by_language(own, judged),
        "scripts": scripts,
        "shares": by_share(own, judged),
        "corpora": by_corpus(corpora, judge(reader, corpora, thresholds, workers)) if corpora else {},
        "read": read,
    }


def _served(manifest: Manifest) -> tuple[dict[str, str], dict[str, float]]:
    names, thresholds = served_thresholds(manifest.operating_points, SERVED_POINT, policy_points(POLICY))
    return dict(names), dict(thresholds)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write; exit status 2 if the bundle or the dataset cannot be used."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m training.languages", description="Which languages a model reads.")
    add_options(parser)
    parser.add_argument("--dataset", type=Path, help="folder of a built dataset, whose validation rows are used too")
    parser.add_argument("--per", type=int, default=60, help="at most so many texts of each language and class")
    parser.add_argument("--seed", type=int, default=11, help="which texts are drawn")
    parser.add_argument("--out", type=Path, default=Path("var/evaluation/languages.json"), help="where the figures go")
    arguments = parser.parse_args(given)
    try:
        classifier = Classifier.load(chosen_bundle(arguments), threads=1)
        report = build_report(
            classifier, arguments.dataset, seed=arguments.seed, per=arguments.per, workers=arguments.workers
        )
    except (BundleError, RegistryError, OSError) as error:
        print(f"languages: {error}", file=sys.stderr)
        return 2
    report = {"command": f"python -m training.languages {shlex.join(given)}".rstrip(), **report}
    write_text(arguments.out, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"{arguments.out}: reads {', '.join(report['read'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
