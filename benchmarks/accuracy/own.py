"""Our side: a bundle through `models.classifier`, the path that answers requests, decided by the default policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from benchmarks.accuracy.scores import ROOT, Answer
from data.schema import CATEGORIES, Category
from models.bundle import Bundle
from models.classifier import Classifier
from training.evaluate import POLICY, SERVED_POINT, policy_points
from training.rows import served_thresholds
from training.scoring import Progress, score_texts, usable_cores

_INJECTION = CATEGORIES.index(Category.INJECTION)


def own_fingerprint(bundle: Bundle) -> str:
    """Changes with the bundle, with the code that reads texts for it, and with the policy that decides."""
    digest = hashlib.sha256()
    for file in (bundle.directory / "manifest.json", POLICY, *sorted((ROOT / "models").glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def own_answers(bundle: Bundle, texts: Mapping[str, str]) -> dict[str, Answer]:
    """Injection score of each text (by key), and whether the default policy flags or blocks it for injection."""
    points = served_thresholds(bundle.manifest.operating_points, SERVED_POINT, policy_points(POLICY))[1]
    threshold = points[Category.INJECTION.value]
    found = score_texts(
        Classifier.load(bundle, threads=1), list(texts.values()), workers=usable_cores(), progress=Progress(len(texts))
    )
    scores = found.scores[:, _INJECTION].tolist()
    return {key: Answer(score, score >= threshold) for key, score in zip(texts, scores, strict=True)}
