"""Our bundle and every guard that runs offline, on the same texts, at the same false-positive rates.

    python -m benchmarks.accuracy.run --data ../shared/data/eval [--bundle production|DIR] [--limit N]
        [--guards weir stackone-defender …] [--cached]

Each guard is installed into var/peers/<name> and asked by benchmarks/accuracy/runners/<name>.py in its own
environment. Answers are kept under var/bench-accuracy, so a later run asks only for what is missing; `--cached` asks
nobody. The tables and pictures go into docs/accuracy.md and docs/accuracy/, all figures into
var/bench-accuracy/figures.json. A guard that cannot be installed or run is in the table with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence, Sized
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from benchmarks.accuracy.environments import UnavailableError, environment, fingerprint
from benchmarks.accuracy.figures import Guard, accuracy_figures
from benchmarks.accuracy.own import own_answers, own_fingerprint
from benchmarks.accuracy.page import fill_page, ordered
from benchmarks.accuracy.peers import PEERS, Peer
from benchmarks.accuracy.pictures import curves_picture, lengths_picture
from benchmarks.accuracy.sample import Sample, draw_sample
from benchmarks.accuracy.scores import ROOT, ScoreFile, ask
from models.bundle import Bundle, BundleError, load_bundle
from models.registry import RegistryError, resolve
from training.benchmarks import TABLE_LIMIT, TABLE_SEED
from training.measure import Figures, Sampling
from training.metrics import load_metrics
from training.metrics.curves import IntArray
from training.rows import RowsError

OWN = "weir"
_OWN_NOTE = (
    "The bundle named above, through the path that answers requests. As it comes: flagged or blocked for injection by "
    "the default policy."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Ask, measure, write; exit status 2 if the bundle or the texts cannot be used."""
    arguments = _parse(argv)
    try:
        bundle = load_bundle(resolve(arguments.bundle, root=arguments.store))
        sample = draw_sample(arguments.data, arguments.limit or None, arguments.seed)
    except (RowsError, BundleError, RegistryError) as error:
        print(f"bench-accuracy: {error}", file=sys.stderr)
        return 2
    asked = [] if arguments.cached else arguments.guards
    guards = [_own(bundle, sample, arguments.work, asked=OWN in asked)]
    guards += [_peer(peer, sample, arguments, asked=peer.name in asked) for peer in PEERS]
    sampling = Sampling(arguments.replicates, arguments.seed)
    metrics = load_metrics(arguments.work / "metrics")
    figures = _facts(bundle, arguments) | accuracy_figures(guards, sample, _tokens(bundle, sample), metrics, sampling)
    _write(figures, guards, sample, arguments)
    for guard in guards:
        print(f"{guard.name}: {guard.missing or 'measured'}")
    return 0


def _facts(bundle: Bundle, arguments: argparse.Namespace) -> Figures:
    manifest = bundle.manifest
    return {
        "bundle": manifest.version,
        "commit": manifest.commit,
        "data_hash": manifest.data_hash,
        "limit": arguments.limit,
        "seed": arguments.seed,
        "replicates": arguments.replicates,
    }


def _tokens(bundle: Bundle, sample: Sample) -> IntArray:
    """Lengths by our tokenizer, the one yardstick for all guards."""
    tokenizer = Tokenizer.from_file(str(bundle.directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return np.array([len(encoded.ids) for encoded in tokenizer.encode_batch_fast(list(sample.texts))], dtype=np.int64)


def _write(figures: Figures, guards: Sequence[Guard], sample: Sample, arguments: argparse.Namespace) -> None:
    """The figures, the pictures, and the page's made part."""
    page: Path = arguments.page
    pictures = page.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    (arguments.work / "figures.json").write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    measured = ordered(figures["guards"])
    if measured:
        by_name = {guard.name: guard for guard in guards}
        heads = {found["title"]: by_name[found["name"]].head(sample) for found in measured}
        (pictures / "curves.svg").write_text(curves_picture(heads, sample.source))
        (pictures / "lengths.svg").write_text(lengths_picture({found["title"]: found["lengths"] for found in measured}))
    page.write_text(fill_page(page.read_text(encoding="utf-8"), figures), encoding="utf-8")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [OWN, *(peer.name for peer in PEERS)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.run", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="production", help="name in the store, or a folder (default: production)")
    parser.add_argument("--store", type=Path, default=Path("models/store"), help="where bundle names are looked up")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="parquet files, or folders of them")
    parser.add_argument(
        "--limit", type=int, default=TABLE_LIMIT, help="rows of each set and kind; 0: all (default: 150)"
    )
    parser.add_argument("--seed", type=int, default=TABLE_SEED, help="which rows, and the intervals' seed")
    parser.add_argument("--guards", nargs="+", default=names, choices=names, metavar="NAME", help="ask only these")
    parser.add_argument("--cached", action="store_true", help="ask nobody: the page from the answers there are")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap replicates of the intervals")
    parser.add_argument("--peers", type=Path, default=ROOT / "var" / "peers", help="where environments are made")
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "bench-accuracy", help="where answers are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "accuracy.md", help="the page to write into")
    return parser.parse_args(argv)


def _own(bundle: Bundle, sample: Sample, work: Path, *, asked: bool) -> Guard:
    version = bundle.manifest.version
    file = ScoreFile(work / "scores" / f"{OWN}-{version}-{own_fingerprint(bundle)}.jsonl")
    texts = file.missing(sample.texts)
    if asked and texts:
        print(f"{OWN}: {len(texts):,} texts", file=sys.stderr, flush=True)
        file.add(own_answers(bundle, texts))
        texts = {}
    return Guard(OWN, f"Weir {version}", _OWN_NOTE, file.answers, _unfinished(texts))


def _peer(peer: Peer, sample: Sample, arguments: argparse.Namespace, *, asked: bool) -> Guard:
    file = ScoreFile(arguments.work / "scores" / f"{peer.name}-{fingerprint(peer)}.jsonl")
    texts, reason = file.missing(sample.texts), None
    if asked and texts:
        print(f"{peer.name}: {len(texts):,} texts", file=sys.stderr, flush=True)
        try:
            python = environment(peer, arguments.peers)
            module = f"benchmarks.accuracy.runners.{peer.runner.stem}"
            ask([str(python), "-m", module], texts, file, arguments.work / f"{peer.name}.log")
            texts = {}
        except UnavailableError as error:
            reason = str(error)
    return Guard(peer.name, peer.title, peer.note, file.answers, reason or _unfinished(texts))


def _unfinished(texts: Sized) -> str | None:
    return f"not finished: {len(texts):,} texts without an answer" if texts else None


if __name__ == "__main__":
    sys.exit(main())
