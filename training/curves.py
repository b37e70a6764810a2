"""The picture of a run: loss and validation figures over its steps."""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure


def draw_curves(log: Path, picture: Path) -> None:
    """Draw log.jsonl of a run into a PNG with the loss on the left and the validation figures on the right."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    checks = [(line["step"], line["validation"]) for line in lines if "validation" in line]
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    if losses:
        left.plot(*zip(*losses, strict=True), linewidth=1)
    left.set(title="training loss", xlabel="step", yscale="log")
    for name in sorted({name for _, found in checks for name in found}):
        points = [(step, found[name]) for step, found in checks if name in found]
        style = "-" if name.startswith(("injection", "harm")) else ":"
        right.plot(*zip(*points, strict=True), style, marker=".", label=name)
    right.set(title="validation", xlabel="step", ylim=(0, 1.02))
    if checks:
        right.legend(fontsize="small")
    figure.savefig(picture, dpi=110)
