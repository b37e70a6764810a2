"""Score distributions of the production model, as measured on the evaluation sets.

    python -m benchmarks.abuse.scores [--scores var/evaluation/scores.parquet]

writes ``scores.json``: for each class of traffic some hundred rows of the seven scores, evenly spaced along the
injection score so that the tails keep their weight. Numbers only; no text and no identity of a text. Rows are drawn
with equal weight for each evaluation set of a class.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, TypedDict

from data.schema import CATEGORIES, Category
from models.bundle import load_bundle
from models.registry import resolve

PATH: Final = Path(__file__).with_name("scores.json")
_DIGITS: Final = 6  # the scores of a saturated head differ late

# Which evaluation rows stand for which traffic. `everyday` is what people type to assistants and agents read;
# `hard` are texts that were written or chosen because filters mistake them.
CLASSES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...] | None, int]]] = {
    "everyday": (
        ("benign",),
        ("toxicchat_test", "safeguard_prompt_injection", "convabuse", "bipia", "deepset_prompt_injections"),
        800,
    ),
    "hard": (("benign",), ("notinject", "piguard_valid", "piguard_wildguard_benign", "wildguard_benchmark"), 400),
    "injection": (("injection",), None, 300),
    "jailbreak": (("jailbreak",), None, 200),
    "harm": (("harm",), None, 200),
}

Rows = Sequence[Sequence[float]]


class Summary(TypedDict):
    """``scores.json``: the bundle that was measured, its operating points, and rows of scores by class of traffic."""

    bundle: str
    points: Mapping[str, Mapping[str, float]]
    rows: Mapping[str, Rows]


class ScorePool:
    """Draws a row of scores of a class of traffic.

    Besides the measured classes there are three made of them: `plain`, the lower half of `everyday`; `below`, attacks
    that score under `fpr_1%`, where they would be stopped, but not under `fpr_5%`; `far below`, attacks a little
    under `fpr_5%`. ``points`` are the operating points of the bundle that was measured.
    """

    def __init__(
        self, rows: Mapping[str, Rows], points: Mapping[str, Mapping[Category, float]], bundle: str = ""
    ) -> None:
        self.points = points
        self.bundle = bundle
        high, low = points["fpr_1%"][Category.INJECTION], points["fpr_5%"][Category.INJECTION]
        attacks = [*rows["injection"], *rows["jailbreak"]]
        self._rows: dict[str, Rows] = {
            **rows,
            "plain": rows["everyday"][: len(rows["everyday"]) // 2],
            "below": [row for row in attacks if low <= row[0] < high],
            "far below": [row for row in attacks if low / 3 <= row[0] < low],
        }

    @classmethod
    def load(cls, path: Path = PATH, bundle: str = "production") -> ScorePool:
        """The distributions in a file: ``scores.json``, or a table of ``training.evaluate`` over ``bundle``."""
        found: Summary = json.loads(path.read_text()) if path.suffix == ".json" else summary(path, bundle)
        points = {
            name: {Category(category): value for category, value in values.items()}
            for name, values in found["points"].items()
        }
        return cls(found["rows"], points, found["bundle"])

    def draw(self, name: str, draw: Random) -> dict[Category, float]:
        """Scores by category of one text of the class ``name``."""
        return dict(zip(CATEGORIES, draw.choice(self._rows[name]), strict=True))

    def share_above(self, name: str, threshold: float) -> float:
        """Share of the class whose injection score reaches ``threshold``."""
        rows = self._rows[name]
        return sum(row[0] >= threshold for row in rows) / len(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``scores.json`` from a table of ``training.evaluate``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse.scores")
    parser.add_argument("--scores", type=Path, default=Path("var/evaluation/scores.parquet"))
    parser.add_argument("--bundle", default="production", help="the bundle that was measured")
    options = parser.parse_args(arguments)
    found = summary(options.scores, options.bundle)
    lines = [f'  "{name}": {json.dumps(rows, separators=(",", ":"))}' for name, rows in found["rows"].items()]
    body, points = ",\n".join(lines), json.dumps(found["points"])
    PATH.write_text(f'{{"bundle": "{found["bundle"]}",\n "points": {points},\n "rows": {{\n{body}\n}}}}\n')
    print(found["bundle"], {name: len(rows) for name, rows in found["rows"].items()})
    return 0


def summary(table: Path, bundle: str) -> Summary:
    """What ``scores.json`` holds, from a table of scores. Raises ValueError if ``bundle`` is not what was measured."""
    manifest = load_bundle(resolve(bundle)).manifest
    measured, rows = _read(table)
    if measured != manifest.version:
        raise ValueError(f"{table} holds scores of {measured}, the bundle is {manifest.version}")
    return {
        "bundle": manifest.version,
        "points": {
            name: {str(category): value for category, value in values.items()}
            for name, values in manifest.operating_points.items()
        },
        "rows": {name: _representative(rows, *what) for name, what in CLASSES.items()},
    }


def _read(path: Path) -> tuple[str, list[dict[str, float | str]]]:
    import pyarrow.parquet as pq  # noqa: PLC0415  only this command reads tables

    columns = ["kind", "source", *(f"score_{category}" for category in CATEGORIES)]
    found = pq.read_table(path, columns=columns)
    rows: list[dict[str, float | str]] = found.to_pylist()
    return json.loads(found.schema.metadata[b"weir"])["bundle"], rows


def _representative(
    table: Sequence[Mapping[str, float | str]], kinds: Sequence[str], sources: Sequence[str] | None, count: int
) -> list[list[float]]:
    """``count`` rows along the injection score, every source with the same weight."""
    rows = [row for row in table if row["kind"] in kinds and (sources is None or row["source"] in sources)]
    sizes: dict[str | float, int] = {}
    for row in rows:
        sizes[row["source"]] = sizes.get(row["source"], 0) + 1
    rows.sort(key=lambda row: float(row["score_injection"]))
    total = float(len(sizes))
    picked: list[list[float]] = []
    passed = 0.0
    for row in rows:
        passed += 1 / sizes[row["source"]]
        while len(picked) < count and passed / total * count >= len(picked) + 0.5:
            picked.append([_short(float(row[f"score_{category}"])) for category in CATEGORIES])
    return picked


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


if __name__ == "__main__":
    sys.exit(main())
