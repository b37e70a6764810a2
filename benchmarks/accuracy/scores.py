"""Scores of one guard, kept in a file as they arrive, so that a later run only asks for what is missing."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy.environments import UnavailableError, last_words

ROOT = Path(__file__).parents[2]
_LINE_EVERY = 100


@dataclass(frozen=True)
class Answer:
    """What a guard said about a text: a score that ranks, and its own decision."""

    score: float
    flagged: bool


def text_key(text: str) -> str:
    """What a text's answer is filed under; sets share texts, and no file here holds any."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class ScoreFile:
    """Answers by text key in a file of JSON lines, written one by one. A line cut short by a crash is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        whole = [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        for line in whole:
            row = json.loads(line)
            self.answers[row["id"]] = Answer(row["score"], row["flagged"])
        self.path.write_text("".join(whole))

    def missing(self, texts: Iterable[str]) -> dict[str, str]:
        """Texts without an answer, by key, each once, in order."""
        return {key: text for text in texts if (key := text_key(text)) not in self.answers}

    def add(self, found: Mapping[str, Answer]) -> None:
        """Keep these answers."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            for key, answer in found.items():
                row = {"id": key, "score": answer.score, "flagged": answer.flagged}
                file.write(json.dumps(row) + "\n")
        self.answers |= found


def ask(command: Sequence[str], texts: Mapping[str, str], into: ScoreFile, log: Path) -> None:
    """Run a guard's runner on `texts` (by key) and keep each answer as it comes.

    Raises UnavailableError if the runner fails, leaves a text out, or is being asked by another run already; what it
    answered until then is kept. Its standard error goes to `log`.
    """
    if not texts:
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as inputs, log.open("ab") as errors:
        try:
            fcntl.flock(errors, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError("another run is asking it") from error
        errors.truncate(0)
        for key, text in texts.items():
            inputs.write(json.dumps({"id": key, "text": text}).encode() + b"\n")
        inputs.seek(0)
        with subprocess.Popen(
            command, stdin=inputs, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=_environment()
        ) as running:
            assert running.stdout is not None
            done = 0
            for line in running.stdout:
                row = json.loads(line)
                if not math.isfinite(row["score"]):
                    raise UnavailableError("cannot be used: one of its scores is not a number")
                into.add({row["id"]: Answer(row["score"], row["flagged"])})
                done += 1
                if done % _LINE_EVERY == 0:
                    print(f"  {done:,} of {len(texts):,} texts", file=sys.stderr, flush=True)
    if running.returncode or done < len(texts):
        raise UnavailableError(f"cannot be run: {last_words(log.read_text(errors='replace'))}")


def _environment() -> dict[str, str]:
    """Ours, with nothing that a hub or a counter of downloads could be reached by, and one thread for torch."""
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return dict(os.environ) | quiet
