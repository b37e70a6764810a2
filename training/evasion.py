"""How many attacks are still found in disguise, and how many harmless texts are flagged in the same.

    python -m training.evasion --data MIRROR/eval --bundle production [--docs docs]

Short public attacks and harmless texts are judged as they are and in every disguise of `training.disguises`, and so is
innocent data that looks encoded: digests, keys, tokens, images. Only attacks that are found undisguised can show what a
disguise costs, so recall is given on all of them and on those. Nothing is tuned here. `--docs` writes the table between
the marks of `docs/evasion.md`.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import random
import shlex
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import datasets
import numpy as np

from data.schema import CATEGORIES, Kind
from models.bundle import BundleError
from models.classifier import Classifier
from models.registry import RegistryError
from training.benchmarks import ATTACK_SETS
from training.disguises import DISGUISES, Disguise
from training.evaluate import POLICY, SERVED_POINT, policy_points
from training.measure import Figures, share
from training.metrics.curves import BoolArray
from training.report import environment, rewrite_between, write_text
from training.rows import RowsError, read_rows, served_thresholds
from training.scoring import Progress, add_options, chosen_bundle, score_texts

LONGEST: Final = 600  # characters: what a person would encode, and one window in most disguises
PLAIN: Final = "undisguised"
_HARMLESS: Final = ("notinject", "safeguard_prompt_injection", "xstest_v2", "toxicchat_test")
_MARKS: Final = (
    "<!-- made by python -m training.evasion: begin -->",
    "<!-- made by python -m training.evasion: end -->",
)


def drawn(rows: datasets.Dataset, sources: Sequence[str], kinds: Sequence[Kind], count: int, seed: int) -> list[str]:
    """At most `count` short texts in Latin script, as many of each source as there are, in random order."""
    wanted = frozenset(kind.value for kind in kinds)
    by_source: dict[str, list[str]] = {}
    for row in rows:
        text, source = row["text"], row["source"]
        if source in sources and row["kind"] in wanted and text and text.isascii() and len(text) <= LONGEST:
            by_source.setdefault(source, []).append(text)
    order = random.Random(f"evasion:{seed}")  # noqa: S311  # reproducible texts, not secrets
    for texts in by_source.values():
        order.shuffle(texts)
    turns = (text for turn in itertools.zip_longest(*by_source.values()) for text in turn if text is not None)
    return list(itertools.islice(turns, count))


def innocent_data(count: int, seed: int) -> list[str]:
    """Lines of data that look encoded and hide nothing: digests, keys, tokens, identifiers, images."""
    order = random.Random(f"evasion:data:{seed}")  # noqa: S311  # as above

    def one(number: int) -> str:
        noise = order.randbytes(order.choice((16, 20, 32, 64, 180)))
        coded = base64.b64encode(noise).decode()
        return (
            f"{noise.hex()}  release-{number}.tar.gz",
            f"Authorization: Bearer {base64.urlsafe_b64encode(noise).decode().rstrip('=')}",
            f"ssh-ed25519 {coded} build@host{number}",
            f'<img alt="chart" src="data:image/png;base64,{coded}">',
            "\n".join(str(uuid.UUID(bytes=order.randbytes(16))) for _ in range(4)),
            f"GET /search?q=caf%C3%A9%20in%20K%C3%B6ln&session={noise.hex()} HTTP/1.1",
            f"integrity sha512-{coded}",
            f"0x{noise.hex()} was mined in block {number}",
        )[number % 8]

    return [one(number) for number in range(count)]


def measure(flags: dict[str, tuple[BoolArray, BoolArray]], data: BoolArray) -> Figures:
    """Figures by disguise from what was flagged as an attack: of the attacks [n] and of the harmless texts [m]."""
    plain_attacks, plain_harmless = flags[PLAIN]
    everything = np.ones(len(plain_attacks), dtype=bool)
    plain = float(plain_attacks.mean()) if len(plain_attacks) else 0.0
    return {
        "attacks": len(plain_attacks),
        "harmless": len(plain_harmless),
        "found": int(plain_attacks.sum()),
        "disguises": {
            name: {
                "recall": share(attacks, everything),
                "lost": plain - float(attacks.mean()),
                "kept": share(attacks, plain_attacks),
                "false_positives": share(harmless, np.ones(len(harmless), dtype=bool)),
            }
            for name, (attacks, harmless) in flags.items()
        },
        "innocent_data": share(data, np.ones(len(data), dtype=bool)),
    }


def build_report(classifier: Classifier, rows: datasets.Dataset, *, count: int, seed: int, workers: int) -> Figures:
    """Judge everything as it is served, and count. Raises RowsError if the rows hold no short attack or no harmless."""
    names, thresholds = served_thresholds(classifier.manifest.operating_points, SERVED_POINT, policy_points(POLICY))
    attacks = drawn(rows, ATTACK_SETS, (Kind.INJECTION, Kind.JAILBREAK), count, seed)
    harmless = drawn(rows, _HARMLESS, (Kind.BENIGN,), count, seed)
    if not (attacks and harmless):
        raise RowsError("the rows hold no short attacks, or no short harmless texts")
    disguises: dict[str, Disguise] = {PLAIN: str, **DISGUISES}
    data = innocent_data(count, seed)
    texts = [disguise(text) for disguise in disguises.values() for text in (*attacks, *harmless)] + data
    scores = score_texts(classifier, texts, workers=workers, progress=Progress(len(texts))).scores
    flagged = scores[:, 0] >= thresholds[CATEGORIES[0].value]
    by_disguise = flagged[: -len(data)].reshape(len(disguises), -1)
    flags = {name: (row[: len(attacks)], row[len(attacks) :]) for name, row in zip(disguises, by_disguise, strict=True)}
    facts = {"schema": 1, "bundle": classifier.version, "point": names[CATEGORIES[0].value], "seed": seed}
    return facts | measure(flags, flagged[-len(data) :])


def write_docs(report: Figures, folder: Path) -> None:
    """Write the table between the marks of `evasion.md`; ValueError without marks."""
    rewrite_between(folder / "evasion.md", _MARKS, environment().get_template("evasion.md.j2").render(report=report))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write, and say the leading figures; exit status 2 if bundle, rows or page cannot be used."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m training.evasion", description="Attacks in disguise.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="parquet files or folders of public rows")
    add_options(parser)
    parser.add_argument("--count", type=int, default=200, help="attacks, and as many harmless texts")
    parser.add_argument("--seed", type=int, default=17, help="which texts are drawn")
    parser.add_argument("--out", type=Path, default=Path("var/evaluation/evasion.json"), help="where the figures go")
    parser.add_argument("--docs", type=Path, help="folder of evasion.md, to write its table anew")
    arguments = parser.parse_args(given)
    try:
        classifier = Classifier.load(chosen_bundle(arguments), threads=1)
        rows = read_rows(arguments.data)
        figures = build_report(classifier, rows, count=arguments.count, seed=arguments.seed, workers=arguments.workers)
        report = {"command": f"python -m training.evasion {shlex.join(given)}", **figures}
        if arguments.docs:
            write_docs(report, arguments.docs)
    except (BundleError, RegistryError, RowsError, OSError, ValueError) as error:
        print(f"evasion: {error}", file=sys.stderr)
        return 2
    write_text(arguments.out, json.dumps(report, indent=1) + "\n")
    worst = max(report["disguises"].items(), key=lambda item: float(item[1]["lost"]))
    print(f"{arguments.out}: at most {worst[1]['lost']:.1%} of recall lost ({worst[0]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
