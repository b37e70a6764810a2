import json
from pathlib import Path

import pytest

from models import registry
from models.bundle import MANIFEST, BundleError, load_bundle
from models.registry import RegistryError
from tests.tiny_bundle import build_tiny_bundle


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two published versions, v1 in production."""
    root = tmp_path / "store"
    for version in ("v1", "v2"):
        assert registry.publish(build_tiny_bundle(tmp_path / version, version=version), root) == version
    registry.promote("v1", root)
    return root


def test_a_published_bundle_is_the_same_bundle(tmp_path: Path, store: Path) -> None:
    assert registry.versions(store) == ["v1", "v2"]
    assert load_bundle(store / "v1").sha256 == load_bundle(tmp_path / "v1").sha256


def test_publishing_again_changes_nothing(tmp_path: Path, store: Path) -> None:
    assert registry.publish(tmp_path / "v1", store) == "v1"
    assert registry.versions(store) == ["v1", "v2"]


def test_another_bundle_of_a_published_version_is_refused(tmp_path: Path, store: Path) -> None:
    other = build_tiny_bundle(tmp_path / "other", version="v1", commit="different")
    with pytest.raises(RegistryError, match="holds a different bundle"):
        registry.publish(other, store)


def test_a_damaged_bundle_is_not_published(tmp_path: Path, store: Path) -> None:
    damaged = build_tiny_bundle(tmp_path / "v3", version="v3")
    (damaged / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        registry.publish(damaged, store)
    assert registry.versions(store) == ["v1", "v2"]


def test_production_a_version_and_a_folder_all_resolve(tmp_path: Path, store: Path) -> None:
    assert registry.resolve("production", store) == store / "v1"
    assert registry.resolve("v2", store) == store / "v2"
    assert registry.resolve(tmp_path / "v2", store) == tmp_path / "v2"


def test_what_cannot_be_resolved_is_answered_with_what_there_is(store: Path) -> None:
    with pytest.raises(RegistryError, match=r"no bundle 'v9'.* holds v1, v2"):
        registry.resolve("v9", store)


def test_an_empty_store_has_nothing_in_production(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="nothing is in production"):
        registry.resolve("production", tmp_path)


def test_promotion_and_rollback_walk_the_same_way(store: Path) -> None:
    registry.promote("v2", store)
    assert registry.resolve("production", store) == store / "v2"
    assert [release.version for release in registry.production(store).previous] == ["v1"]
    registry.rollback(store)
    assert registry.resolve("production", store) == store / "v1"
    with pytest.raises(RegistryError, match="nothing to go back to"):
        registry.rollback(store)


def test_promoting_what_is_in_production_adds_no_history(store: Path) -> None:
    assert registry.promote("v1", store).previous == ()


def test_only_a_sound_published_version_is_promoted(store: Path) -> None:
    with pytest.raises(RegistryError, match="no version 'v9'"):
        registry.promote("v9", store)
    (store / "v2" / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        registry.promote("v2", store)
    assert registry.production(store).version == "v1"


def test_a_manifest_changed_behind_the_pointer_is_noticed(store: Path) -> None:
    path = store / "v1" / MANIFEST
    path.write_bytes(path.read_bytes().replace(b"none", b"some"))
    with pytest.raises(RegistryError, match=r"has sha256 .*, production\.json says"):
        registry.resolve("production", store)


def test_a_pointer_that_makes_no_sense_is_neither_read_nor_overwritten(store: Path) -> None:
    (store / "production.json").write_text('{"version": 1}')
    with pytest.raises(RegistryError, match=r"production\.json"):
        registry.production(store)
    with pytest.raises(RegistryError, match=r"production\.json"):
        registry.promote("v2", store)
    assert (store / "production.json").read_text() == '{"version": 1}'


def test_the_command_line_lists_promotes_and_rolls_back(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(store)]
    assert registry.main([*root, "promote", "v2"]) == 0
    assert registry.main([*root, "list"]) == 0
    assert capsys.readouterr().out == "v2 is in production\n  v1\n* v2\n"
    assert registry.main([*root, "rollback"]) == 0
    assert registry.main([*root, "show"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1])["version"] == "v1"


def test_the_command_line_fails_with_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.main(["--root", str(store), "promote", "v9"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
