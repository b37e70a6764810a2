"""Find attack clusters in flagged traffic, and write the bundle that knows them.

    python -m training.cluster --events var/events --harmless var/dataset/validation.parquet

Reads the events that `data.events drain` wrote, groups the flagged ones by embedding, names each group in words that
many of its texts share, and writes a report (`report.json`, `report.html`) and, under a new version, the same bundle
with `clusters.json`. `--examples` groups the attacks of a dataset instead, for an installation without traffic yet.
docs/clusters.md explains it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from data.events import read
from models.bundle import MODEL_CARD, Bundle, BundleError, load_bundle, write_bundle
from models.classifier import Classifier
from models.clusters import CLUSTERS, Cluster, read_clusters, write_clusters
from models.registry import publish, resolve
from training.cluster_report import Group, figures, name_of, render_page, summary
from training.flagged import Flagged, attack_examples, embed, flagged_events, harmless_texts, place, same_space
from training.grouping import NONE, Centre, centres, cluster_of, group, nearest, recognised
from training.metrics.curves import FloatArray, IntArray
from training.model_card import manifest_fields
from training.scoring import usable_cores

LEAST_HARMLESS: Final = 50
_SUFFIX: Final = re.compile(r"\.c[0-9a-f]{8}\Z")
_CARD_HEADING: Final = "\n## Attack clusters\n"


class ClusterError(Exception):
    """The clusters cannot be made; the message says what is missing."""


@dataclass(frozen=True)
class Found:
    """What one run found: each group with its centre, the group of each text, and clusters kept from before."""

    groups: tuple[Group, ...]
    centres: tuple[Centre, ...]
    labels: IntArray
    carried: tuple[Cluster, ...]

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """What the bundle will know."""
        return (*(each.cluster for each in self.groups if each.kept), *self.carried)


def find(
    flagged: Sequence[Flagged],
    harmless: FloatArray,
    known: Sequence[Cluster],
    *,
    smallest: int,
    most_texts: int,
    most_clusters: int,
    rng: np.random.Generator,
) -> Found:
    """Group the texts and recognise the clusters that were known before.

    More than `most_texts` are drawn at random; the others then join the group whose centre they are near. Known
    clusters that these texts do not show stay known, those not seen for longest go first beyond `most_clusters`.
    """
    embeddings = np.stack([each.embedding for each in flagged])
    drawn = np.sort(rng.permutation(len(flagged))[:most_texts])
    labels = np.full(len(flagged), NONE)
    labels[drawn] = group(embeddings[drawn], harmless, smallest)
    found = centres(embeddings, labels, harmless)
    others = np.setdiff1d(np.arange(len(flagged)), drawn)
    labels[others] = nearest(embeddings[others], found)
    same = recognised(found, known, embeddings.shape[1])
    groups = tuple(_group(flagged, labels, number, centre, same.get(number)) for number, centre in enumerate(found))
    unseen = {cluster.id for cluster in known} - {cluster.id for cluster in same.values()}
    carried = sorted((each for each in known if each.id in unseen), key=lambda each: -each.last_seen)
    room = max(most_clusters - sum(each.kept for each in groups), 0)
    return Found(groups, tuple(found), labels, tuple(carried[:room]))


def _group(flagged: Sequence[Flagged], labels: IntArray, number: int, centre: Centre, known: Cluster | None) -> Group:
    members = [each for each, label in zip(flagged, labels, strict=True) if label == number]
    others = [each for each, label in zip(flagged, labels, strict=True) if label != number]
    times = [each.time for each in members]
    cluster = cluster_of(centre, known, name=name_of(members, others), size=len(members), seen=(min(times), max(times)))
    return Group(cluster, members, new=known is None, kept=centre.tells_apart)


def with_clusters(bundle: Bundle, clusters: Sequence[Cluster], out: Path, now: float) -> Path:
    """Write the bundle with these clusters under `out`, in a folder named by its version; the same ones make the same.

    The version is the model's with the first digits of the clusters' hash: 20261123-8c99e869.c1f0a2b3c.
    """
    content = write_clusters(clusters)
    base = _SUFFIX.sub("", bundle.manifest.version)
    version = f"{base}.c{hashlib.sha256(content).hexdigest()[:8]}"
    if (out / version).exists():
        return load_bundle(out / version).directory
    files: dict[str, Path | bytes] = {name: bundle.read(name) for name in bundle.manifest.files}
    card = bundle.read(MODEL_CARD).decode().partition(_CARD_HEADING)[0] + _card_section(clusters)
    files |= {CLUSTERS: content, MODEL_CARD: card.encode()}
    facts = manifest_fields(bundle.manifest) | {"version": version, "created": _moment(now)}
    return write_bundle(out / version, manifest_fields=facts, files=files)


def _card_section(clusters: Sequence[Cluster]) -> str:
    rows = "\n".join(f"| `{each.id}` | {each.name} | {each.size:,} |" for each in clusters)
    return (
        f"{_CARD_HEADING}\nGroups of flagged texts that were alike, by embedding. They change no score: a prediction"
        f" names the nearest.\n\n| cluster | name | texts |\n|---|---|---|\n{rows}\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Group, report, write; exit status 2 if something that is needed is missing."""
    options = _parse(argv)
    try:
        print(_run(options, time.time()))
    except (ClusterError, BundleError, OSError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace, now: float) -> str:
    rng = np.random.default_rng(options.seed)
    bundle = load_bundle(resolve(options.bundle, root=options.store))
    classifier = Classifier.load(bundle, threads=1)
    flagged, lost = _flagged(options, bundle, classifier, now)
    if len(flagged) < options.smallest:
        raise ClusterError(
            f"{len(flagged)} flagged texts can be used, a cluster needs {options.smallest}; {lost} had none"
        )
    found = find(
        flagged,
        _harmless(options, classifier, rng),
        _known(bundle),
        smallest=options.smallest,
        most_texts=options.most_texts,
        most_clusters=options.most_clusters,
        rng=rng,
    )
    directory = with_clusters(bundle, found.clusters, options.out, now) if found.clusters else None
    report = _report(bundle, directory, found, lost, now)
    _write(options.out, report, render_page(report, np.stack([each.embedding for each in flagged]), found.labels))
    return "\n".join([summary(report), *_written(options, directory)])


def _flagged(
    options: argparse.Namespace, bundle: Bundle, classifier: Classifier, now: float
) -> tuple[list[Flagged], int]:
    if options.examples:
        unplaced = attack_examples(options.examples, now)
        drawn = np.random.default_rng(options.seed).permutation(len(unplaced))[: options.most_texts]
        return place([unplaced[index] for index in sorted(drawn)], classifier, options.workers, _say), 0
    since = now - options.days * 86_400
    events = (event for event in read(options.events) if event.time >= since)
    placed, unplaced, lost = flagged_events(events, same_space(bundle, options.store))
    return placed + place(unplaced, classifier, options.workers, _say), lost


def _harmless(options: argparse.Namespace, classifier: Classifier, rng: np.random.Generator) -> FloatArray:
    texts = harmless_texts(options.harmless, options.most_harmless, rng)
    if len(texts) < LEAST_HARMLESS:
        raise ClusterError(f"{options.harmless} holds {len(texts)} harmless texts, {LEAST_HARMLESS} are needed")
    return np.stack(embed(texts, classifier, options.workers, _say))


def _known(bundle: Bundle) -> tuple[Cluster, ...]:
    if CLUSTERS not in bundle.manifest.files:
        return ()
    return read_clusters(bundle.read(CLUSTERS), bundle.manifest.embedding_size).clusters


def _report(bundle: Bundle, directory: Path | None, found: Found, lost: int, now: float) -> dict[str, Any]:
    usable, grouped = len(found.labels), int((found.labels != NONE).sum())
    return {
        "schema": 1,
        "made": _moment(now),
        "bundle": bundle.manifest.version,
        "version": directory.name if directory else None,
        "events": {"flagged": usable + lost, "grouped": grouped, "alone": usable - grouped, "lost": lost},
        "clusters": figures(found.groups, [centre.direction for centre in found.centres], now),
        "carried": [
            {"id": each.id, "name": each.name, "last_seen": _moment(each.last_seen)[:10]} for each in found.carried
        ],
    }


def _write(out: Path, report: dict[str, Any], page: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    content = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (out / "report.json").write_text(content, encoding="utf-8")
    (out / "report.html").write_text(page, encoding="utf-8")


def _written(options: argparse.Namespace, directory: Path | None) -> list[str]:
    lines = [f"report: {options.out / 'report.html'}"]
    if directory is None:
        return [*lines, "no cluster is distinct enough for a bundle"]
    if not options.publish:
        return [*lines, f"bundle: {directory}; python -m models.registry publish {directory}"]
    version = publish(directory, options.store)
    return [*lines, f"{version} is published; python -m models.registry promote {version}"]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.cluster", description="Find attack clusters.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--events", default="var/events", help="folder or fsspec URL of drained events (%(default)s)")
    source.add_argument("--examples", type=Path, help="a dataset (parquet with text and kind) instead of events")
    parser.add_argument(
        "--harmless", type=Path, default=Path("var/dataset/validation.parquet"),
        help="parquet with text and kind, of which the benign texts say how near harmless ones come (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--bundle", default="production", help="whose embeddings, and to which bundle clusters are added"
    )
    parser.add_argument("--store", type=Path, default=Path("models/store"), help="where bundles are published")
    parser.add_argument("--out", type=Path, default=Path("var/clusters"), help="report and bundle (%(default)s)")
    parser.add_argument("--days", type=float, default=30, help="events of the last so many days (%(default)s)")
    parser.add_argument("--smallest", type=int, default=10, help="texts that make a cluster (%(default)s)")
    parser.add_argument("--most-texts", type=int, default=10_000, help="texts that are grouped (%(default)s)")
    parser.add_argument("--most-clusters", type=int, default=256, help="clusters in the bundle (%(default)s)")
    parser.add_argument("--most-harmless", type=int, default=2_000, help="harmless texts compared (%(default)s)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="threads (default: all cores)")
    parser.add_argument("--seed", type=int, default=5, help="which texts are drawn (%(default)s)")
    parser.add_argument("--publish", action="store_true", help="also publish the bundle to the store")
    options = parser.parse_args(argv)
    if options.smallest < 3:
        parser.error("--smallest must be at least 3: a group of two has no words that many share")
    return options


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
