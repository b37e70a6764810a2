"""CloneGuard with its bundled classifier: the classifier's score, and whether rules or classifier raise anything."""

from __future__ import annotations

import logging
from typing import Any

from cloneguard.mini_semantic import MODEL_DIR, MiniSemanticClassifier  # type: ignore[import-not-found]
from cloneguard.patterns import PatternEngine, Verdict  # type: ignore[import-not-found]
from tokenizers import Tokenizer

from benchmarks.accuracy.runners.exchange import Judge, answer, one_thread, overlapping

_WINDOW = 254  # 256 with [CLS] and [SEP]; its own windows overlap by half too


def load() -> Judge:
    """Rules and classifier in the standard mode, that of tool results."""
    logging.disable(logging.WARNING)  # it warns of every long text
    classifier, rules = MiniSemanticClassifier(), PatternEngine()
    if not classifier.available:
        raise RuntimeError("its classifier does not load")
    tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def judge(text: str) -> tuple[float, bool]:
        parts = list(overlapping(text, tokenizer.encode(text, add_special_tokens=False).offsets, _WINDOW))
        whole = classifier.classify(text)
        found = [whole] if len(parts) == 1 else [classifier.classify(part) for part in parts]
        flagged = whole.verdict != "SAFE" or rules.scan(text, "<tool_output>").verdict is not Verdict.CLEAN
        return max(map(_malicious, found)), flagged

    return judge


def _malicious(found: Any) -> float:
    """Its probability of an attack: the confidence is that of the label, which an anomaly changes afterwards."""
    safe = found.verdict == "SAFE" or "Mahalanobis" in found.reason
    return 1.0 - float(found.confidence) if safe else float(found.confidence)


if __name__ == "__main__":
    one_thread()
    answer(load())
