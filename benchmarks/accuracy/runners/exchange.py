"""The protocol of all runners: one JSON line per text in, one per answer out.

In: {"id": ..., "text": ...}; out: {"id": ..., "score": ..., "flagged": ...}, in order, each as soon as it is known,
so a run that is cut off keeps what it has done. `score` ranks texts; `flagged` is what the guard itself decides, as
it comes out of the box.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from typing import Any

Judge = Callable[[str], tuple[float, bool]]


def answer(judge: Judge) -> None:
    """Judge every text of standard input. What a guard prints meanwhile goes to standard error."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as out, redirect_stdout(sys.stderr):
        for line in sys.stdin.buffer:
            row = json.loads(line)
            score, flagged = judge(row["text"])
            out.write(json.dumps({"id": row["id"], "score": float(score), "flagged": bool(flagged)}) + "\n")
            out.flush()


def one_thread() -> None:
    """Let every onnxruntime session made from here on use one thread.

    By default threads wait for each other by spinning, which on a machine with other work costs more than it gains.
    """
    import onnxruntime  # noqa: PLC0415  (not every guard has it)

    make = onnxruntime.InferenceSession

    def session(model: str, sess_options: Any = None, **rest: Any) -> Any:
        options = sess_options or onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return make(model, sess_options=options, **rest)

    onnxruntime.InferenceSession = session


def overlapping(text: str, offsets: Sequence[tuple[int, int]], size: int) -> Iterator[str]:
    """Parts of `text` of at most `size` tokens, each starting half a part after the one before.

    `offsets` are the character ranges of its tokens. A text that fits is one part, unchanged; the last part of a
    longer one ends with the text.
    """
    if len(offsets) <= size:
        yield text
        return
    starts = [*range(0, len(offsets) - size, size // 2), len(offsets) - size]
    for start in starts:
        yield text[offsets[start][0] : offsets[start + size - 1][1]]
