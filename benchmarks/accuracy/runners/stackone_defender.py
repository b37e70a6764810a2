"""StackOne Defender: the score of its classifier (tier 2), the decision of both its tiers.

The classifier reads 256 tokens. Its own way with longer texts is to pack whole sentences into as many chunks as it
takes; for the score they are read in overlapping windows like everybody's.
"""

from __future__ import annotations

from pathlib import Path

from stackone_defender import create_prompt_defense  # type: ignore[import-not-found]
from stackone_defender.classifiers.onnx_classifier import get_default_model_path  # type: ignore[import-not-found]
from stackone_defender.classifiers.tier2_classifier import create_tier2_classifier  # type: ignore[import-not-found]
from tokenizers import Tokenizer

from benchmarks.accuracy.runners.exchange import Judge, answer, one_thread, overlapping

_WINDOW = 254  # 256 with [CLS] and [SEP]


def load() -> Judge:
    """Both public entrances, the classifier's and the whole defence's, with the settings they ship with."""
    defense = create_prompt_defense(block_high_risk=True, require_tier2=True)
    defense.warmup_tier2()
    classifier = create_tier2_classifier()
    classifier.warmup()
    tokenizer = Tokenizer.from_file(str(Path(get_default_model_path()) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def judge(text: str) -> tuple[float, bool]:
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        score = max(classifier.classify(part).score for part in overlapping(text, offsets, _WINDOW))
        return score, not defense.defend_tool_result(text, "tool").allowed

    return judge


if __name__ == "__main__":
    one_thread()
    answer(load())
