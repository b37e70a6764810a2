"""One injected sentence in a long clean document, and long clean documents beside short ones.

    python -m training.needle --bundle production [--docs docs]

Recall at the served operating point by length, position and carrier; false positives of the same documents without the
sentence; and of long harmless documents beside their own first sentences. Nothing is tuned here. `--docs` also draws
the heat map into `docs/needle.svg` and writes the tables between the marks of `docs/long-texts.md`.
Idea: the needle in a haystack test of long-context models (Kamradt 2023).
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from data.generators.grammar import Grammar, load_grammar
from data.schema import CATEGORIES
from data.sources import SourceUnavailableError, mirror_root
from models.bundle import BundleError
from models.classifier import Classifier
from models.registry import RegistryError
from training.evaluate import POLICY, SERVED_POINT, policy_points
from training.measure import Figures, share
from training.metrics.curves import BoolArray
from training.needle_texts import (
    CARRIERS,
    LONG,
    REAL_SOURCES,
    clean_units,
    generated_long,
    needles,
    planted_document,
    real_long,
)
from training.plots import heat_maps_plot
from training.report import environment, rewrite_between, write_text
from training.rows import served_thresholds
from training.scoring import Progress, add_options, chosen_bundle, score_texts

LENGTHS: Final = (250, 1_000, 4_000, 10_000, 20_000)
POSITIONS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
SHORT: Final = 200  # characters of a document's beginning, which its whole is compared with
_REAL_EACH: Final = 75
_MARKS: Final = ("<!-- made by python -m training.needle: begin -->", "<!-- made by python -m training.needle: end -->")


@dataclass(frozen=True)
class Text:
    """One text and where it belongs: `part` is planted, clean, long or short; `carrier` also names a corpus."""

    text: str
    part: str
    carrier: str
    length: int
    position: float | None = None


def haystacks(grammar: Grammar, seed: int, count: int) -> list[Text]:
    """Every length, carrier and position with `count` sentences, and the documents without them."""
    sentences = needles(grammar, _drawing("needles", seed), count)
    texts = []
    for name, carrier in CARRIERS.items():
        for length in LENGTHS:
            for number, sentence in enumerate(sentences):
                rng = _drawing(name, seed, length, number)
                units = clean_units(carrier, grammar, rng, length, room=len(carrier.planted(sentence)))
                texts.append(Text(carrier.document(units), "clean", name, length))
                texts += [
                    Text(planted_document(carrier, units, sentence, place), "planted", name, length, place)
                    for place in POSITIONS
                ]
                more = clean_units(carrier, grammar, _drawing(f"{name} alone", seed, length, number), length)
                texts.append(Text(carrier.document(more), "clean", name, length))
    return texts


def long_documents(grammar: Grammar, seed: int, count: int) -> list[Text]:
    """Harmless documents of 4,000 characters, ours and those of a mirror, and the beginning of each."""
    found = {"generated": generated_long(grammar, _drawing("long", seed), count)}
    for name in REAL_SOURCES if mirror_root() else ():
        try:
            found[name] = list(real_long(name, _REAL_EACH))
        except SourceUnavailableError as error:
            print(f"needle: left out: {error}", file=sys.stderr)
    texts = [Text(text, "long", name, LONG) for name, documents in found.items() for text in documents]
    return [*texts, *(Text(_beginning(text.text), "short", text.carrier, SHORT) for text in texts)]


def _drawing(purpose: str, *numbers: int) -> random.Random:
    return random.Random(f"needle:{purpose}:{numbers}")  # noqa: S311  # reproducible texts, not secrets


def _beginning(text: str) -> str:
    """The first SHORT characters, to the end of a sentence or word where there is one."""
    cut = text[:SHORT]
    return cut[: max(cut.rfind(". ") + 1, cut.rfind("\n"))] or cut.rpartition(" ")[0] or cut


def measure(texts: Sequence[Text], injection: BoolArray, anything: BoolArray) -> Figures:
    """Figures of n texts of which `injection` and `anything` say how they were flagged, [n] each."""
    part = np.array([text.part for text in texts])
    carrier = np.array([text.carrier for text in texts])
    length = np.array([text.length for text in texts])
    position = np.array([-1.0 if text.position is None else text.position for text in texts])
    planted, clean = part == "planted", part == "clean"
    kinds = [name for name in CARRIERS if (carrier == name).any()]
    corpora = sorted({text.carrier for text in texts if text.part == "long"})
    real = np.isin(carrier, [name for name in corpora if name != "generated"])
    groups = {name: carrier == name for name in corpora} | ({"all real": real} if real.any() else {})
    return {
        "recall": {
            "all": share(injection, planted),
            "by_length": {str(n): share(injection, planted & (length == n)) for n in LENGTHS},
            "by_position": {str(p): share(injection, planted & (position == p)) for p in POSITIONS},
            "by_carrier": {name: share(injection, planted & (carrier == name)) for name in kinds},
            "cells": {
                name: [
                    [_rate(injection, planted & (carrier == name) & (length == n) & (position == p)) for n in LENGTHS]
                    for p in POSITIONS
                ]
                for name in kinds
            },
        },
        "false_positives": {
            "by_length": {str(n): share(injection, clean & (length == n)) for n in LENGTHS},
            "by_carrier": {name: share(injection, clean & (carrier == name)) for name in kinds},
        },
        "long_documents": {
            name: {
                which: {"injection": share(injection, at), "any": share(anything, at)}
                for which, at in (("long", rows & (part == "long")), ("short", rows & (part == "short")))
            }
            for name, rows in groups.items()
        },
    }  # fmt: skip


def _rate(flagged: BoolArray, among: BoolArray) -> float | None:
    found = share(flagged, among)
    return None if found is None else float(found["value"])


def build_report(classifier: Classifier, *, seed: int, count: int, long: int, workers: int) -> Figures:
    """Draw the texts, judge them as they are served, and count."""
    names, thresholds = served_thresholds(classifier.manifest.operating_points, SERVED_POINT, policy_points(POLICY))
    grammar = load_grammar()
    texts = [*haystacks(grammar, seed, count), *long_documents(grammar, seed, long)]
    scores = score_texts(
        classifier, [text.text for text in texts], workers=workers, progress=Progress(len(texts))
    ).scores
    flags = scores >= np.array([thresholds[category.value] for category in CATEGORIES])
    facts = {"schema": 1, "bundle": classifier.version, "point": names["injection"], "sentences": count, "seed": seed}
    return facts | measure(texts, np.asarray(flags[:, 0]), np.asarray(flags.any(axis=1)))


def write_docs(report: Figures, folder: Path) -> None:
    """The heat map as `needle.svg`, and the tables between the marks of `long-texts.md`; ValueError without marks."""
    rewrite_between(folder / "long-texts.md", _MARKS, environment().get_template("needle.md.j2").render(report=report))
    (folder / "needle.svg").write_bytes(draw(report))


def draw(report: Figures) -> bytes:
    """The heat map, one panel a carrier, as SVG."""
    return heat_maps_plot(
        report["recall"]["cells"], columns=[f"{n:,}" for n in LENGTHS], rows=[f"{p:g}" for p in POSITIONS],
        across="characters", down="position of the sentence",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write, and say the leading figures; exit status 2 if the bundle or the page cannot be used."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m training.needle", description="One sentence in a long document.")
    add_options(parser)
    parser.add_argument("--sentences", type=int, default=3, help="how many sentences are planted in every cell")
    parser.add_argument("--long", type=int, default=150, help="how many long harmless documents of our own")
    parser.add_argument("--seed", type=int, default=17, help="which texts are drawn")
    parser.add_argument("--out", type=Path, default=Path("var/evaluation/needle.json"), help="where the figures go")
    parser.add_argument("--docs", type=Path, help="folder of long-texts.md, to write page and picture anew")
    arguments = parser.parse_args(given)
    try:
        classifier = Classifier.load(chosen_bundle(arguments), threads=1)
        report = build_report(
            classifier, seed=arguments.seed, count=arguments.sentences, long=arguments.long, workers=arguments.workers
        )
        report = {"command": f"python -m training.needle {shlex.join(given)}".rstrip(), **report}
        if arguments.docs:
            write_docs(report, arguments.docs)
    except (BundleError, RegistryError, OSError, ValueError) as error:
        print(f"needle: {error}", file=sys.stderr)
        return 2
    write_text(arguments.out, json.dumps(report, indent=1) + "\n")
    arguments.out.with_suffix(".svg").write_bytes(draw(report))
    print(f"{arguments.out}: found {report['recall']['all']['value']:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
