"""An environment for each guard, so that no two of them have to agree on anything, nor with us."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.peers import Peer

_READY = "installed.json"
_PRETENDED = "3.12"  # the Python version that forced requirements ask for


class UnavailableError(Exception):
    """A guard cannot be installed or run; the message says why, in a line."""


def environment(peer: Peer, root: Path, uv: Sequence[str] = ()) -> Path:
    """The interpreter of the guard's environment under `root`, made and filled if it is not yet as `peer` says.

    `uv` is the command that installs (default: the one beside this interpreter, or on the path).
    Raises UnavailableError with the installer's own words.
    """
    folder = root / peer.name
    python, stamp = folder / "bin" / "python", folder / _READY
    wanted = json.dumps([*peer.requirements, *peer.forced])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    command = list(uv) or [_uv()]
    if not python.exists():
        _run([*command, "venv", "--quiet", "--python", sys.executable, str(folder)])
    install = [*command, "pip", "install", "--quiet", "--python", str(python)]
    if peer.requirements:
        _run([*install, *peer.requirements])
    if peer.forced:
        _run([*install, "--no-deps", "--python-version", _PRETENDED, *peer.forced])
    stamp.write_text(wanted)
    return python


def fingerprint(peer: Peer) -> str:
    """Changes with whatever could change this guard's scores: what is installed, and how it is asked."""
    digest = hashlib.sha256(json.dumps([*peer.requirements, *peer.forced]).encode())
    for file in (peer.runner, peer.runner.with_name("exchange.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def last_words(text: str) -> str:
    """The last line that says something: where tools put the reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UnavailableError("uv, which installs it, is not here")
    return found


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"cannot be installed: {last_words(done.stderr)}")
