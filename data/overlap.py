"""Which training rows are near-duplicates of evaluation rows.

    python -m data.overlap --dataset var/dataset      # exit 1 if any training row is one, 2 if a set is missing

Two tests, both exact (an inverted index, no sampling): a Jaccard similarity of neighbouring word pairs, which
finds edited copies of any length; and the share of 8-word runs that two texts have in common relative to the
shorter one, which finds a text that was put into a longer one (Brown et al. 2020 use 13-word runs likewise). A text of
5 to 7 words is one run as a whole. Shorter ones ("I don't know") stand in too many texts to be copies.

Words are compared in NFKC and case-folded. Letters of other scripts that look alike, digits for letters and encodings
are not undone: an attack rewritten like that is another text here.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data.config import BuildConfig
from data.shingles import Hashes, Shingler, canonical, jaccard, pairs, sequences
from data.sources import SourceUnavailableError, load, registry

RUN = 8
SHORTEST = 5  # words of a text that can be found in another one
_SHORT = range(SHORTEST, RUN)


@dataclass(frozen=True, slots=True)
class Match:
    """The evaluation set that a text repeats, by which test (exact, jaccard, contained) and how much of it."""

    evaluation_set: str
    test: str
    share: float


def _as_one_run(hashed: Hashes, length: int) -> Hashes:
    """The text as one run, if it has so many words."""
    return sequences(hashed, length) if len(hashed) == length else hashed[:0]


class _Postings:
    """Hash -> rows that hold it, as two parallel arrays sorted by hash."""

    def __init__(self, sets: Sequence[Hashes]) -> None:
        hashes = np.concatenate([*sets, np.empty(0, dtype=np.uint64)])
        rows = np.repeat(np.arange(len(sets), dtype=np.int32), [len(one) for one in sets])
        order = np.argsort(hashes, kind="stable")
        self._hashes: Hashes = hashes[order]
        self._rows: npt.NDArray[np.int32] = rows[order]

    def ranges(self, wanted: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """For each wanted hash, where its rows begin and end."""
        return np.searchsorted(self._hashes, wanted, "left"), np.searchsorted(self._hashes, wanted, "right")

    def rows(self, begins: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """The rows of several ranges, one entry for each hash they hold."""
        found = [self._rows[begin:end] for begin, end in zip(begins, ends, strict=True) if end > begin]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int32)


class OverlapIndex:
    """Finds the evaluation row that a text repeats."""

    def __init__(self, texts: Iterable[tuple[str, str]], *, jaccard: float, containment: float) -> None:
        """`texts` are (evaluation set, text); `jaccard` and `containment` the shares from which a text counts."""
        self._jaccard, self._containment = jaccard, containment
        self._shingler = Shingler()
        self._names: list[str] = []
        self._exact: dict[str, str] = {}
        self._pairs: list[Hashes] = []
        runs: list[Hashes] = []
        hashes: list[Hashes] = []
        for name, text in texts:
            key = canonical(text)
            if key in self._exact:
                continue
            self._exact[key] = name
            hashed = self._shingler.hash_words(text)
            self._names.append(name)
            hashes.append(hashed)
            self._pairs.append(pairs(hashed))
            runs.append(sequences(hashed, RUN))
        self._run_counts = np.array([len(one) for one in runs], dtype=np.int64)
        self._by_pair, self._by_run = _Postings(self._pairs), _Postings(runs)
        self._whole = {length: _Postings([_as_one_run(one, length) for one in hashes]) for length in _SHORT}
        self._inside = {length: _Postings([sequences(one, length) for one in hashes]) for length in _SHORT}

    def match(self, text: str) -> Match | None:
        """The first test that finds a repeated evaluation row, or None for a text of its own."""
        name = self._exact.get(canonical(text))
        if name is not None:
            return Match(name, "exact", 1.0)
        hashed = self._shingler.hash_words(text)
        return self._similar(pairs(hashed)) or self._contained(sequences(hashed, RUN)) or self._short(hashed)

    def _similar(self, found: Hashes) -> Match | None:
        """Prefix filter: a similar row shares at least `need` pairs, so one of the `keep` rarest is shared."""
        need = math.ceil(self._jaccard * len(found) - 1e-9)
        begins, ends = self._by_pair.ranges(found)
        frequency = ends - begins
        if int((frequency > 0).sum()) < need:
            return None
        keep = np.argsort(frequency, kind="stable")[: len(found) - need + 1]
        for row in np.unique(self._by_pair.rows(begins[keep], ends[keep])):
            other = self._pairs[row]
            if min(len(other), len(found)) < self._jaccard * max(len(other), len(found)):
                continue
            share = jaccard(found, other)
            if share >= self._jaccard:
                return Match(self._names[row], "jaccard", share)
        return None

    def _contained(self, found: Hashes) -> Match | None:
        begins, ends = self._by_run.ranges(found)
        rows = self._by_run.rows(begins, ends)
        if not len(rows):
            return None
        shared = np.bincount(rows, minlength=len(self._names))
        shares = shared / np.maximum(np.minimum(self._run_counts, len(found)), 1)
        best = int(shares.argmax())
        share = float(shares[best])
        return Match(self._names[best], "contained", share) if share >= self._containment else None

    def _short(self, hashed: Hashes) -> Match | None:
        """A whole evaluation row of fewer than RUN words in the text, or a text as short in an evaluation row."""
        for length in _SHORT:
            postings = self._inside[length] if len(hashed) == length else self._whole[length]
            rows = postings.rows(*postings.ranges(sequences(hashed, length)))
            if len(rows):
                return Match(self._names[rows.min()], "contained", 1.0)
        return None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The (evaluation set, text) rows that training must not repeat, and the sets that could not be read."""

    texts: list[tuple[str, str]]
    missing: list[str]


def evaluation_texts(data_dir: Path | None = None) -> HeldOut:
    """Every evaluation row that the mirror, or failing one the public homes, give."""
    texts: list[tuple[str, str]] = []
    missing: list[str] = []
    for name, source in sorted(registry().items()):
        if "eval" not in source.parts:
            continue
        try:
            texts.extend([(name, example.text) for example in load(name, "eval", data_dir)])
        except SourceUnavailableError:
            missing.append(name)
    return HeldOut(texts, missing)


def audit(texts: Iterable[str], index: OverlapIndex) -> Counter[str]:
    """How many of the texts repeat a row of each evaluation set."""
    return Counter(match.evaluation_set for text in texts if (match := index.match(text)) is not None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit a built dataset; 0 if no training or validation row repeats an evaluation row.

    1 if one does; 2 if none does but not every evaluation set could be read, for that proves nothing.
    """
    parser = argparse.ArgumentParser(prog="python -m data.overlap", description=main.__doc__)
    parser.add_argument("--dataset", type=Path, default=Path("var/dataset"))
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("build.yaml"))
    parser.add_argument("--data-dir", type=Path, default=None, help="mirror of the corpora (default: WEIR_DATA_DIR)")
    options = parser.parse_args(arguments)
    limits = BuildConfig.load(options.config).overlap
    held_out = evaluation_texts(options.data_dir)
    index = OverlapIndex(held_out.texts, jaccard=limits.jaccard, containment=limits.containment)
    repeated: Counter[str] = Counter()
    for split in ("train", "validation"):
        texts = pq.read_table(options.dataset / f"{split}.parquet", columns=["text"])["text"].to_pylist()
        repeated += audit(texts, index)
        sys.stdout.write(f"{split}: {len(texts)} rows\n")
    for name, count in sorted(repeated.items()):
        sys.stdout.write(f"  {count} near-duplicates of {name}\n")
    sys.stdout.write(f"{repeated.total()} rows repeat one of {len(held_out.texts)} evaluation rows\n")
    if held_out.missing:
        sys.stdout.write(f"not compared, name a mirror in WEIR_DATA_DIR: {', '.join(held_out.missing)}\n")
    return 1 if repeated else 2 if held_out.missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
