"""From a finished run to a verified bundle: `python -m training.export --run var/runs/minilm`.

fp32 graph -> int8 graph -> parity gate -> calibration on the validation split through the int8 graph -> bundle.
A bad export stops here (GateError); it never becomes a bundle.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from tokenizers import Tokenizer

from data.commit import code_commit
from data.dataset import TARGETS
from data.schema import CATEGORIES, Category
from models.aggregate import paying
from models.bundle import load_bundle, write_bundle
from models.classifier import Classifier, WindowOutputs
from models.normalize import VIEWS
from training.average import facts_of
from training.base import Base, load_base
from training.calibrate import POINTS, Calibration, Floats, Scored, calibrate
from training.checkpoint import code_of, lineage, remember_dataset, sha256_of
from training.config import TrainConfig
from training.evaluate import SERVED_POINT
from training.gates import check_long_attacks, check_parity
from training.model import GuardModel
from training.model_card import render_card
from training.onnx_graph import export_fp32, quantise
from training.self_test import SELF_TEST

PARITY_TEXTS = 4000  # of 2,000 the scarcest head had 30 positives, too few for a loss of .005


def export(run: Path, store: Path, *, version: str, created: str, commit: str) -> Path:
    """Make the run's weights into a bundle at `store/version`; raises GateError if the graphs disagree."""
    config = TrainConfig.model_validate_json((run / "config.json").read_text())
    base = load_base(config.base)
    weights = torch.load(run / "weights.pt", map_location="cpu", weights_only=True)
    model = GuardModel.holding(base.encoder, weights).eval()
    data_hash = remember_dataset(config.dataset, run)
    validation = Dataset.from_parquet(
        str(config.dataset / "validation.parquet"), cache_dir=str(config.dataset / "cache" / "arrow")
    ).with_format("numpy")
    with tempfile.TemporaryDirectory() as scratch:
        fp32, int8 = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        export_fp32(model, fp32)
        quantise(fp32, int8)
        facts = _facts(config, base, data_hash, version=version, created=created, commit=commit)
        facts["commits"] = code_of(run) | {"export": commit}
        facts["training"] |= facts_of(run) | {"lineage": lineage(run)}
        draft = _write(Path(scratch) / "draft", facts, int8, base.tokenizer)
        scored = score_validation(draft, validation)
        calibration = calibrate(scored)
        parity = _parity(
            model,
            Path(scratch),
            facts | _numbers(calibration),
            fp32=fp32,
            int8=int8,
            base=base,
            validation=validation,
        )
        facts |= _numbers(calibration)
        recalls = _recall_by_length(scored, calibration)
        facts["metrics"] = {"parity": parity, "validation_rows": len(validation), "recall_by_length": recalls}
        return _write(store / version, facts, int8, base.tokenizer)


def score_validation(bundle: Path, validation: Dataset, threads: int = 2) -> Scored:
    """Run every validation text through the graph that will be served."""
    classifier = Classifier.load(load_bundle(bundle), threads=1)
    texts: Sequence[str] = validation["text"][:]
    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(lambda text: _strongest(classifier, text), texts))
    return Scored(
        np.stack([logits for logits, _ in rows]),
        np.stack([windows for _, windows in rows]),
        _targets(validation),
        [str(source) for source in validation["source"][:]],
    )


def _recall_by_length(scored: Scored, calibration: Calibration) -> dict[str, float]:
    """Of long and of short injections at the point that is served; raises GateError if length hides them."""
    column = CATEGORIES.index(Category.INJECTION)
    scores = calibration.scores(Category.INJECTION, scored.logits[:, :, column], scored.windows)
    threshold = calibration.operating_points[SERVED_POINT][Category.INJECTION]
    return check_long_attacks(scores, scored.windows[:, 0], scored.targets[:, column], threshold)


def _targets(validation: Dataset) -> Floats:
    return np.stack([np.asarray(validation[TARGETS[c]][:], dtype=np.float64) for c in CATEGORIES], axis=1)


def _strongest(classifier: Classifier, text: str) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The highest logits [V, C] of each view's windows, and for how many they pay [V]."""
    prepared = classifier.prepare(text)
    logits = classifier.run(prepared.windows).logits
    names = [window.view for window in prepared.windows]
    views, counts = np.array(names), np.array(paying(names))
    highest, windows = np.full((len(VIEWS), len(CATEGORIES)), -np.inf), np.ones(len(VIEWS), dtype=np.int64)
    for place, view in enumerate(VIEWS):
        if (views == view).any():
            highest[place], windows[place] = logits[views == view].max(0), counts[views == view][0]
    return highest, windows


def _parity(
    model: GuardModel, scratch: Path, facts: dict[str, Any], *, fp32: Path, int8: Path, base: Base, validation: Dataset
) -> dict[str, Any]:
    """Compare torch, fp32 ONNX and int8 ONNX as whole classifiers: scores, and decisions at every point."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(validation), size=min(PARITY_TEXTS, len(validation)), replace=False)
    texts = [str(text) for text in validation.select(sorted(rows))["text"][:]]
    served = Classifier.load(load_bundle(_write(scratch / "int8", facts, int8, base.tokenizer)))
    exact = Classifier.load(load_bundle(_write(scratch / "fp32", facts, fp32, base.tokenizer)))
    torch_scores = np.stack([_torch_scores(model, exact, text) for text in texts])
    fp32_scores, int8_scores = (
        np.array([[p.scores[c] for c in CATEGORIES] for p in classifier.predict(texts)])
        for classifier in (exact, served)
    )
    points = {name: [facts["operating_points"][name][c] for c in CATEGORIES] for name in POINTS}
    targets = _targets(validation)[sorted(rows)]
    return {
        "fp32": check_parity(torch_scores, fp32_scores, points, "fp32").as_dict(),
        "int8": check_parity(fp32_scores, int8_scores, points, "int8", targets).as_dict(),
    }


@torch.no_grad()
def _torch_scores(model: GuardModel, classifier: Classifier, text: str) -> Floats:
    """The classifier's own steps, with torch in the place of onnxruntime."""
    prepared = classifier.prepare(text)
    outputs = []
    for window in prepared.windows:
        ids = torch.from_numpy(np.asarray(window.ids, dtype=np.int64))[None]
        outputs.append(model(ids, torch.ones_like(ids)))
    joined = WindowOutputs(
        torch.cat([o.logits for o in outputs]).numpy(), torch.cat([o.embedding for o in outputs]).numpy()
    )
    prediction = classifier.finish(prepared, joined)
    return np.array([prediction.scores[category] for category in CATEGORIES])


def _facts(
    config: TrainConfig, base: Base, data_hash: str, *, version: str, created: str, commit: str
) -> dict[str, Any]:
    """Manifest fields with an identity calibration, to be replaced once the graph has been scored."""
    same = dict.fromkeys(CATEGORIES, 1.0)
    return {
        "version": version,
        "labels": CATEGORIES,
        "max_length": config.max_length,
        "stride": config.stride,
        "temperatures": same,
        "biases": dict.fromkeys(CATEGORIES, 0.0),
        "window_penalties": dict.fromkeys(CATEGORIES, 0.0),
        "operating_points": {name: dict.fromkeys(CATEGORIES, 0.5) for name in POINTS},
        "embedding_size": base.encoder.config.dim,
        "self_test": SELF_TEST,
        "data_hash": data_hash,
        "commit": commit,
        "created": created,
        "base_model": base.name,
        "licences": (base.licence,),
        "metrics": {},
        "training": json.loads(config.model_dump_json()),
    }


def _numbers(calibration: Calibration) -> dict[str, Any]:
    return dict(vars(calibration))


def _write(directory: Path, facts: Mapping[str, Any], graph: Path, tokenizer: Tokenizer) -> Path:
    files: dict[str, Path | bytes] = {
        "model.onnx": graph,
        "tokenizer.json": tokenizer.to_str().encode(),
        "MODEL_CARD.md": render_card(facts, report=None).encode(),
    }
    return write_bundle(directory, manifest_fields=facts, files=files)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("var/runs/minilm"), help="folder of a finished run")
    parser.add_argument("--store", type=Path, default=Path("var/bundles"), help="where the bundle is written")
    arguments = parser.parse_args()
    now = dt.datetime.now(dt.UTC)
    weights = sha256_of(arguments.run / "weights.pt")
    version = f"{now:%Y%m%d}-{weights[:8]}"
    bundle = export(arguments.run, arguments.store, version=version, created=now.isoformat(), commit=code_commit())
    print(bundle)
    print(f"calibrated at {', '.join(POINTS)}; next: python -m training.evaluate --bundle {bundle} …", file=sys.stderr)


if __name__ == "__main__":
    main()
