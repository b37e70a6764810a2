import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.schema import CATEGORIES
from models.bundle import MANIFEST, BundleError, load_bundle, write_bundle
from tests.tiny_bundle import build_tiny_bundle

Change = Callable[[dict[str, Any]], object]


def edit(directory: Path, change: Change) -> None:
    path = directory / MANIFEST
    facts = json.loads(path.read_bytes())
    change(facts)
    path.write_text(json.dumps(facts))


def test_what_is_written_is_what_is_loaded(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny", version="v7", metrics={"auc": 0.5, "by": {"a": [1, None]}})
    bundle = load_bundle(directory)
    assert bundle.manifest.version == "v7"
    assert bundle.manifest.labels == CATEGORIES
    assert bundle.manifest.metrics == {"auc": 0.5, "by": {"a": [1, None]}}
    assert bundle.manifest.operating_points["fpr_1%"][CATEGORIES[0]] == 0.7
    assert bundle.sha256 == hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    assert hashlib.sha256(bundle.read("model.onnx")).hexdigest() == bundle.manifest.files["model.onnx"]


def test_the_same_facts_make_the_same_bundle(tmp_path: Path) -> None:
    first, second = (load_bundle(build_tiny_bundle(tmp_path / name)) for name in ("a", "b"))
    assert first.sha256 == second.sha256


def test_a_bundle_is_never_overwritten(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(BundleError, match="already exists"):
        build_tiny_bundle(directory, version="other")
    assert load_bundle(directory).manifest.version == "tiny-1"


def test_bad_facts_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="temperatures"):
        build_tiny_bundle(tmp_path / "tiny", temperatures={})
    with pytest.raises(BundleError, match="version"):
        write_bundle(tmp_path / "tiny", manifest_fields={}, files={"model.onnx": b""})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _target: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space"):
        build_tiny_bundle(tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_file_is_named_with_both_hashes(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    with (directory / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx: sha256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}"):
        load_bundle(directory)


def test_a_file_changed_after_loading_is_not_read(tmp_path: Path) -> None:
    bundle = load_bundle(build_tiny_bundle(tmp_path / "tiny"))
    (bundle.directory / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json: sha256"):
        bundle.read("tokenizer.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    (directory / "MODEL_CARD.md").unlink()
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md: named by the manifest, cannot be read"):
        load_bundle(directory)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot read the manifest"):
        load_bundle(tmp_path)


def test_a_link_out_of_the_bundle_is_not_followed(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    outside = tmp_path / "model.onnx"
    (directory / "model.onnx").rename(outside)
    (directory / "model.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="leads out of the bundle"):
        load_bundle(directory)


def per_category(field: str, value: float) -> Change:
    return lambda facts: facts[field].update(injection=value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda f: f.update(format=2), "format: Input should be 1"),
        (lambda f: f.pop("format"), "format: Field required"),
        (lambda f: f.update(surprise=1), "surprise: "),
        (lambda f: f.update(version="../v1"), "version: "),
        (lambda f: f.update(version="v1\n"), "version: "),
        (lambda f: f["labels"].reverse(), "labels must be"),
        (lambda f: f["labels"].pop(), "labels must be"),
        (lambda f: f["labels"].append("spam"), "labels.7: "),
        (lambda f: f.update(max_length="32"), "max_length: "),
        (lambda f: f.update(stride=31), "stride 31 would skip tokens: a window holds 30"),
        (lambda f: f.update(stride=0), "stride: "),
        (per_category("temperatures", 0), "temperatures.injection: Input should be greater than 0"),
        (per_category("temperatures", float("nan")), "temperatures.injection: "),
        (per_category("window_penalties", -1), "window_penalties.injection: "),
        (lambda f: f["biases"].pop("hate"), "biases: Value error, no value for hate"),
        (lambda f: f["operating_points"]["fpr_1%"].update(hate=1.5), "operating_points.fpr_1%.hate: "),
        (lambda f: f["operating_points"]["fpr_1%"].pop("hate"), "no value for hate"),
        (lambda f: f.update(self_test_point="fpr_9%"), "self_test_point 'fpr_9%' is not among"),
        (lambda f: f.update(self_test=[]), "self_test needs a known-good and a known-bad"),
        (lambda f: f["self_test"].pop(), "self_test needs a known-good and a known-bad"),
        (lambda f: f["files"].pop("tokenizer.json"), "files lacks tokenizer.json"),
        (lambda f: f["files"].update({"../../etc/passwd": "0" * 64}), "files."),
        (lambda f: f["files"].update({"model.onnx": "abc"}), "files.model.onnx: "),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_field(tmp_path: Path, change: Change, complaint: str) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    edit(directory, change)
    with pytest.raises(BundleError) as raised:
        load_bundle(directory)
    assert complaint in str(raised.value)
    assert MANIFEST in str(raised.value)


def test_a_manifest_that_is_not_json_is_refused(tmp_path: Path) -> None:
    directory = build_tiny_bundle(tmp_path / "tiny")
    (directory / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="Invalid JSON"):
        load_bundle(directory)
