"""Which code made something: the commit of the tree that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
MAKES_MODELS: Final = ("data", "models", "training")
UNKNOWN: Final = "unknown"


def code_commit(root: Path = ROOT) -> str:
    """The commit of the working tree, `-dirty` behind it if data/, models/ or training/ hold anything else.

    WEIR_COMMIT says it for a copy without a repository, such as one that was sent to a machine with a GPU; without
    either it is "unknown".
    """
    if told := os.environ.get("WEIR_COMMIT"):
        return told
    commit = _git(root, "rev-parse", "HEAD").strip()
    if not commit:
        return UNKNOWN
    return f"{commit}-dirty" if _git(root, "status", "--porcelain", "--", *MAKES_MODELS) else commit


def short_commit(commit: str) -> str:
    """Seven digits are enough; the mark of a changed tree stays. Of several, with commas between them, each."""
    return ", ".join(each[:7] + ("-dirty" if each.endswith("-dirty") else "") for each in commit.split(", "))


def _git(root: Path, *arguments: str) -> str:
    """What git prints, or nothing if it cannot."""
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603, S607 - git of the PATH, arguments of ours
    except OSError:
        return ""
    return found.stdout if found.returncode == 0 else ""
