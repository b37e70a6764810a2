"""Texts with their real embeddings, and the variations of them that simulated callers send.

The texts are our own generators'; the embeddings are the bundle's that is served, computed once and cached under
``var/bench/abuse``. A variation moves an embedding along the arc towards another text's by a cosine drawn from what
was measured between texts of one template (``python -m benchmarks.abuse.corpus [BUNDLE]``): so a campaign has the
spread of real paraphrases, and thousands of different harmless texts do not look like repetitions of a few.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from data.generators import generate
from data.schema import Kind

CACHE: Final = Path("var/bench/abuse")
LONGEST: Final = 900  # characters; longer texts would only make the cache slower to fill
# Cosine between two attacks of one template, bundle 20261123-a0e8d347: quantiles 0, 5, 25, 50, 75, 95, 100 %.
PARAPHRASE_COSINES: Final = (-0.24, 0.43, 0.72, 0.88, 0.94, 0.97, 0.991)
_AT: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_OWN_WORDS: Final = (0.80, 0.95)  # a text of one's own about the same matter
_FILLED: Final = (0.985, 0.999)  # one template with other names in it

Vector = npt.NDArray[np.float32]
Style = Literal["same", "filled", "own", "paraphrase"]


@dataclass(frozen=True, slots=True)
class Text:
    """One simulated text: text number ``base`` of its class, varied towards ``other`` in one of four styles.

    ``score_class`` names the distribution its scores come from, which is drawn anew per ``seed``: so a text that is
    sent twice scores the same twice.
    """

    base: int
    other: int
    style: Style
    seed: int
    score_class: str
    attack: bool


class Corpus:
    """Harmless and attacking texts with unit embeddings [n, D]."""

    def __init__(self, texts: Sequence[str], attack: npt.NDArray[np.bool_], embeddings: Vector) -> None:
        self._texts = texts
        self._embeddings = embeddings
        self._pools: Mapping[bool, Sequence[int]] = {
            True: np.flatnonzero(attack).tolist(),
            False: np.flatnonzero(~attack).tolist(),
        }

    def string(self, text: Text) -> str:
        """The words of a text."""
        pool = self._pools[text.attack]
        base, other = (self._texts[pool[number % len(pool)]] for number in (text.base, text.other))
        if text.style == "same":
            return base
        if text.style == "filled":
            return f"{base} Reference {text.seed % 10_000_000:07d}, for {other.split()[0]}."
        if text.style == "own":
            return f"{' '.join(other.split()[:12])}. {base}"
        return other

    def embedding(self, text: Text, *, suspect: bool) -> Vector:
        """The unit embedding [D] of a text that the classifier suspects, or does not.

        Scores and embeddings come from one network, so a harmless text that is suspected lies among the attacks, and
        an attack that is missed lies among harmless texts.
        """
        pool = self._pools[suspect]
        base: Vector = self._embeddings[pool[text.base % len(pool)]]
        cosine = _cosine(text.style, Random(text.seed))
        if cosine >= 1:
            return base
        other: Vector = self._embeddings[pool[text.other % len(pool)]]
        away = other - float(other @ base) * base
        length = float(np.linalg.norm(away))
        if length < 1e-6:
            return base
        turned: Vector = (cosine * base + math.sqrt(1 - cosine**2) / length * away).astype(np.float32)
        return turned


def _cosine(style: Style, draw: Random) -> float:
    if style == "same":
        return 1.0
    if style == "filled":
        return draw.uniform(*_FILLED)
    if style == "own":
        return draw.uniform(*_OWN_WORDS)
    return float(np.interp(draw.random(), _AT, PARAPHRASE_COSINES))


def load(bundle: str = "production", *, harmless: int = 1000, attacks: int = 300) -> Corpus:
    """The corpus with embeddings of ``bundle``, from the cache if it has them."""
    from models.bundle import load_bundle  # noqa: PLC0415  the model is not needed where a test brings its own corpus
    from models.classifier import Classifier  # noqa: PLC0415
    from models.registry import resolve  # noqa: PLC0415

    texts, attack = _texts(harmless, attacks)
    found = load_bundle(resolve(bundle))
    mark = hashlib.sha256("\0".join((found.manifest.version, *texts)).encode()).hexdigest()[:16]
    cached = CACHE / f"embeddings-{mark}.npy"
    if not cached.exists():
        print(f"embedding {len(texts)} texts once", file=sys.stderr)
        classifier = Classifier.load(found, threads=1)
        rows = np.array([classifier.predict([text])[0].embedding for text in texts], dtype=np.float32)
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(cached, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    embeddings: Vector = np.load(cached)
    return Corpus(texts, attack, embeddings)


def random_corpus(seed: int, *, harmless: int = 200, attacks: int = 60, size: int = 64) -> Corpus:
    """A corpus without a model, for tests: attacks lie around one direction and harmless texts everywhere."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(harmless + attacks, size))
    rows[harmless:] = 0.5 * rows[harmless:] + 1.5 * draw.normal(size=size)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts, attack = _texts(harmless, attacks)
    return Corpus(texts, attack, rows.astype(np.float32))


def _texts(harmless: int, attacks: int) -> tuple[list[str], npt.NDArray[np.bool_]]:
    wanted = {False: harmless, True: attacks}
    taken: dict[bool, list[str]] = {False: [], True: []}
    streams = [generate(name, 7, 20_000) for name in ("direct", "generated", "roleplays")]
    while any(len(taken[attack]) < count for attack, count in wanted.items()):
        for stream in streams:
            example = next(stream)
            attack = example.kind in (Kind.INJECTION, Kind.JAILBREAK)
            if len(example.text) <= LONGEST and len(taken[attack]) < wanted[attack]:
                taken[attack].append(example.text)
    texts = taken[False] + taken[True]
    return texts, np.arange(len(texts)) >= harmless


def main(bundle: str = "production") -> int:
    """Print the cosines between attacking texts of one template, and between unrelated texts."""
    from models.bundle import load_bundle  # noqa: PLC0415
    from models.classifier import Classifier  # noqa: PLC0415
    from models.registry import resolve  # noqa: PLC0415

    found = load_bundle(resolve(bundle))
    classifier = Classifier.load(found, threads=1)
    examples = [example for name in ("direct", "roleplays", "generated") for example in generate(name, 7, 250)]
    attacks = np.array([example.kind in (Kind.INJECTION, Kind.JAILBREAK) for example in examples])
    groups = np.array([example.group for example in examples])
    rows = np.array([classifier.predict([example.text])[0].embedding for example in examples])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    left, right = np.triu_indices(len(rows), 1)
    cosines, same = (rows @ rows.T)[left, right], groups[left] == groups[right]
    both, neither = attacks[left] & attacks[right], ~attacks[left] & ~attacks[right]
    print(f"bundle {found.manifest.version}, cosine quantiles at {_AT}")
    for name, chosen in (
        ("attacks of one template", both & same),
        ("attacks of different templates", both & ~same),
        ("harmless, one template", neither & same),
        ("harmless, unrelated", neither & ~same),
        ("attack and harmless", ~both & ~neither & ~same),
    ):
        print(f"{name:32} n={int(chosen.sum()):6}", np.round(np.quantile(cosines[chosen], _AT), 3).tolist())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
