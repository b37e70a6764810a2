"""Weights to go on from, out of a bundle: `python -m training.restore --bundle production --run var/runs/production`.

Checkpoints stay where they were made; the bundle travels with the project. Its int8 weights times their scales are
the weights that are served, and their rounding is small beside what further training changes. The folder holds
weights.pt and the settings of the bundle's training: something to `start:` from, or an end for `training.average`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from models.bundle import MODEL, Bundle, BundleError
from models.classifier import Classifier, ClassifierError
from models.registry import RegistryError
from training.base import BaseError, load_base
from training.checkpoint import remember_origin, sha256_of
from training.config import TrainConfig
from training.model import GuardModel
from training.onnx_graph import HALF, ROUNDED, SCALE
from training.scoring import add_bundle_options, chosen_bundle

# Of a score: the bundle quantises what flows between its layers, and the restored model does not.
LARGEST_DIFFERENCE: Final = 0.1
SAME: Final = ("encoder.", "hidden.", "heads.")
TURNED: Final = "_Transposed"
WORDS: Final = "encoder.embeddings.word_embeddings.weight"


class RestoreError(Exception):
    """A bundle that `training.export` did not make, or that does not give its own scores back."""


def weights_of(graph: onnx.ModelProto) -> dict[str, Tensor]:
    """The float weights behind an int8 graph of `training.onnx_graph.quantise`, by their names in `GuardModel`."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    weights = {name: array for name, array in found.items() if name.startswith(SAME) and array.dtype.kind == "f"}
    for name in list(weights):
        if name.endswith(HALF):
            weights[name.removesuffix(HALF)] = weights.pop(name).astype(np.float32)
        elif name.endswith(SCALE):
            whole = name.removesuffix(SCALE)
            weights[whole] = found[whole + ROUNDED].astype(np.float32) * weights.pop(name)
        elif name.endswith(TURNED):
            weights[name.removesuffix(TURNED)] = weights.pop(name).T
    weights[WORDS] = found["word_int8"].astype(np.float32) * found["word_scale"]
    for quantised, bias in _products(graph):
        scales = found[quantised.replace("_quantized", "_scale")]
        weights[bias.removesuffix("bias") + "weight"] = (found[quantised].astype(np.float32) * scales).T
    return {name: torch.from_numpy(array.copy()) for name, array in weights.items()}


def _products(graph: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """The quantised weight of each int8 product, and the bias that is added to what comes of it."""
    constants = {tensor.name for tensor in graph.graph.initializer}
    readers = {name: node for node in graph.graph.node for name in node.input}
    for node in graph.graph.node:
        if node.op_type == "MatMulInteger":
            last = node
            while last.op_type != "Add":  # a cast and the scale are between
                last = readers[last.output[0]]
            yield node.input[1], next(name for name in last.input if name in constants)


def restore(bundle: Bundle, run: Path) -> Path:
    """Write the run's folder and return the file of its weights. Raises RestoreError and, if it exists, OSError."""
    manifest, classifier = bundle.manifest, Classifier.load(bundle)
    try:
        config = TrainConfig.model_validate(
            {name: value for name, value in manifest.training.items() if name in TrainConfig.model_fields}
        )
        weights = weights_of(onnx.load_from_string(bundle.read(MODEL)))
        model = GuardModel.holding(load_base(config.base).encoder, weights)
    except (ValueError, LookupError, RuntimeError) as error:
        raise RestoreError(f"{bundle.directory} was not made by training.export: {error}") from error
    _check(model.eval(), classifier)
    run.mkdir(parents=True)
    (run / "config.json").write_text(config.model_dump_json(indent=2))
    # so that what goes on from here on another dataset is refused, as it is for the run itself
    remember_origin(run, manifest.data_hash, manifest.commits)
    (run / "restored.json").write_text(json.dumps({"bundle": manifest.version, "sha256": bundle.sha256}))
    torch.save(model.state_dict(), run / "weights.pt")
    return run / "weights.pt"


@torch.no_grad()
def _check(model: GuardModel, classifier: Classifier) -> None:
    """Raise RestoreError unless the model says of the self-test's windows what the bundle says."""
    for test in classifier.manifest.self_test:
        windows = classifier.prepare(test.text).windows
        served = torch.from_numpy(classifier.run(windows).logits).sigmoid()
        for window, scores in zip(windows, served, strict=True):
            ids = torch.from_numpy(np.asarray(window.ids, dtype=np.int64))[None]
            difference = float((model(ids, torch.ones_like(ids)).logits[0].sigmoid() - scores).abs().max())
            if difference > LARGEST_DIFFERENCE:
                raise RestoreError(f"a score of the self-test differs by {difference:.3f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 2 if the bundle cannot be read or the run exists."""
    parser = argparse.ArgumentParser(prog="python -m training.restore", description=(__doc__ or "").splitlines()[0])
    add_bundle_options(parser)
    parser.add_argument("--run", type=Path, required=True, help="folder to make")
    options = parser.parse_args(arguments)
    try:
        weights = restore(chosen_bundle(options), options.run)
    except (BundleError, RegistryError, ClassifierError, BaseError, RestoreError, FileExistsError) as error:
        print(f"restore: {error}", file=sys.stderr)
        return 2
    print(f"{weights} sha256 {sha256_of(weights)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
