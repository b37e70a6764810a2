"""A finished run becomes a bundle that the served classifier loads, or nothing at all."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.bundle import load_bundle
from models.classifier import Classifier
from models.registry import resolve
from tests.model.tiny_run import tiny_config
from tests.tiny_bundle import build_tiny_bundle
from training import export as exporting
from training.average import write_average
from training.base import load_base
from training.checkpoint import DatasetChangedError, code_of, remember_dataset, sha256_of
from training.config import ConfigError, TrainConfig
from training.gates import GateError, ParityLimits
from training.onnx_graph import HALF, ROUNDED, SCALE
from training.restore import RestoreError, restore, weights_of
from training.restore import main as restoring
from training.train import first_model, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    changes = {"epochs": 30, "learning_rate": 3e-3, "dropout": 0.0, "ema_decay": 0.5, "freeze_word_embeddings": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIR_COMMIT", "7" * 40)
        train(tiny_config(folder, **changes), folder / "run", cpu=True)
    return folder / "run"


def export(run: Path, store: Path) -> Path:
    return exporting.export(run, store, version="t1", created="2026-01-01T00:00:00+00:00", commit="0" * 40)


def test_an_exported_run_tells_apart_what_it_was_trained_on(run: Path, tmp_path: Path) -> None:
    bundle = load_bundle(export(run, tmp_path))
    classifier = Classifier.load(bundle)
    bad, good = classifier.predict(["tell me all ignore", "tell me the time of day today"])
    assert bad.scores["injection"] > 0.5 > good.scores["injection"]
    assert bundle.manifest.metrics["parity"]["int8"]["texts"] == 300
    assert set(bundle.manifest.operating_points) == {"fpr_0.1%", "fpr_1%", "fpr_5%"}
    assert np.isclose(np.linalg.norm(bad.embedding), 1, atol=1e-3)


def test_the_manifest_names_the_code_that_built_the_data_trained_and_exported(run: Path, tmp_path: Path) -> None:
    commits = load_bundle(export(run, tmp_path / "store")).manifest.commits
    assert commits == {"data": "d" * 40, "training": "7" * 40, "export": "0" * 40}


def test_weights_are_stored_as_int8_but_for_the_last_layer(run: Path, tmp_path: Path) -> None:
    graph = onnx.load(str(export(run, tmp_path) / "model.onnx")).graph
    tables = {tensor.name: tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2}
    assert tables["word_int8"] == onnx.TensorProto.INT8
    float_products = [node for node in graph.node if node.op_type == "MatMul" and set(node.input) & set(tables)]
    assert len(float_products) == 1


def test_a_graph_holds_no_path_of_the_machine_that_exported_it(run: Path, tmp_path: Path) -> None:
    graph = (export(run, tmp_path) / "model.onnx").read_bytes()
    assert str(Path(exporting.__file__).parent).encode() not in graph
    assert b"site-packages" not in graph


def test_a_graph_that_decides_differently_from_its_original_never_becomes_a_bundle(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impossible = ParityLimits(max_difference=0.0, mean_difference=0.0, flips=0.0, auc_drop=0.0)
    monkeypatch.setitem(exporting.check_parity.__globals__["LIMITS"], "int8", impossible)
    with pytest.raises(GateError, match="parity"):
        export(run, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bundle_gives_back_the_weights_that_it_was_made_of(run: Path, tmp_path: Path) -> None:
    """Up to rounding: int8 of products and word vectors, fp16 of the position vectors; exact in the rest."""
    bundle = load_bundle(export(run, tmp_path))
    weights = torch.load(restore(bundle, tmp_path / "back"), weights_only=True)
    original = torch.load(run / "weights.pt", weights_only=True)
    assert weights.keys() == original.keys()
    for name, weight in original.items():
        assert torch.allclose(weights[name].float(), weight.float(), atol=float(weight.abs().max()) / 127), name
    exact = "encoder.transformer.layer.1.ffn.lin2.bias"
    assert torch.equal(weights[exact], original[exact])
    assert TrainConfig.model_validate_json((tmp_path / "back" / "config.json").read_text()).name == "tiny"
    assert code_of(tmp_path / "back") == code_of(run)


def test_joined_runs_become_a_bundle_give_their_weights_back_and_can_be_gone_on_from(run: Path, tmp_path: Path) -> None:
    write_average(run, run, 0.5, tmp_path / "joined", join=True)
    both = torch.load(tmp_path / "joined" / "weights.pt", weights_only=True)
    bundle = load_bundle(export(tmp_path / "joined", tmp_path / "store"))
    assert bundle.manifest.training["averaged"]["joined"] is True
    file = restore(bundle, tmp_path / "back")
    for name, weight in torch.load(file, weights_only=True).items():
        assert torch.allclose(weight.float(), both[name].float(), atol=float(both[name].abs().max()) / 127), name
    config = TrainConfig.model_validate_json((run / "config.json").read_text())
    encoder = load_base(config.base).encoder
    going_on = config.model_copy(update={"start": file, "start_sha256": sha256_of(file)})
    assert first_model(encoder, going_on).hidden.out_features == 2 * encoder.config.dim
    with pytest.raises(ValueError, match="different"):
        write_average(run, tmp_path / "joined", 0.5, tmp_path / "neither")
    with pytest.raises(ConfigError, match="start"):
        first_model(encoder, config.model_copy(update={"start": tmp_path / "gone", "start_sha256": "0" * 64}))


def test_a_bundle_of_before_the_layer_behind_the_encoder_was_rounded_can_still_be_restored() -> None:
    production = load_bundle(resolve("production"))
    weights = weights_of(onnx.load_from_string(production.read("model.onnx")))
    assert weights["hidden.weight"].dtype is torch.float32
    assert not [name for name in weights if name.endswith((HALF, ROUNDED, SCALE))]


def test_what_was_restored_learns_from_no_other_dataset(run: Path, tmp_path: Path) -> None:
    bundle = load_bundle(export(run, tmp_path))
    restore(bundle, tmp_path / "back")
    other = tmp_path / "dataset"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps({"content_hash": "1" * 64}))
    with pytest.raises(DatasetChangedError):
        remember_dataset(other, tmp_path / "back")


def test_a_graph_of_another_kind_or_with_other_scores_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(export(run, tmp_path))
    foreign = load_bundle(build_tiny_bundle(tmp_path / "tiny"))
    disguised = replace(foreign, manifest=replace(foreign.manifest, training=bundle.manifest.training))
    with pytest.raises(RestoreError, match="not made by"):
        restore(disguised, tmp_path / "back")
    monkeypatch.setattr("training.restore.LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(RestoreError, match="differs"):
        restore(bundle, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_was_restored_is_not_written_over_and_other_graphs_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--bundle", str(export(run, tmp_path)), "--run", str(tmp_path / "back")]
    assert restoring(arguments) == 0
    kept = (tmp_path / "back" / "weights.pt").read_bytes()
    assert restoring(arguments) == 2
    assert (tmp_path / "back" / "weights.pt").read_bytes() == kept
    assert restoring(["--bundle", str(build_tiny_bundle(tmp_path / "tiny")), "--run", str(tmp_path / "other")]) == 2
    assert "restore:" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
