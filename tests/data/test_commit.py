"""What was made says which code made it."""

import subprocess
from pathlib import Path

import pytest

from data.commit import code_commit, short_commit


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WEIR_COMMIT", raising=False)
    for name in ("data", "models", "training", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("as committed")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    return tmp_path


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    (repository / "docs" / "file").write_text("says more")
    assert code_commit(repository) == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("changed", ["data/file", "models/file", "training/new"])
def test_a_tree_with_changes_where_models_are_made_is_marked(repository: Path, changed: str) -> None:
    (repository / changed).write_text("not committed")
    assert code_commit(repository) == git(repository, "rev-parse", "HEAD") + "-dirty"


def test_a_copy_without_a_repository_is_unknown_unless_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WEIR_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_commit(tmp_path) == "unknown"
    monkeypatch.setenv("WEIR_COMMIT", "abc-dirty")
    assert code_commit(tmp_path) == "abc-dirty"


def test_a_short_commit_keeps_the_mark() -> None:
    assert short_commit("1234567890") == "1234567"
    assert short_commit("1234567890-dirty") == "1234567-dirty"
    assert short_commit("1234567890, 0987654321-dirty") == "1234567, 0987654-dirty"
