"""The texts to measure, and what became of them: parquet in, scores out.

Any parquet with a `text` column is read; the other columns of the public corpora (`id`, `source`, `kind`,
`harm_categories`, `labels`) are used where they exist. Targets are worked out while reading, so that labels which
cannot be used are refused before anything is scored; no message holds a value of a file, since that may be a user's
text. Scored rows carry their targets, so a report can be made again from the scores alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import CATEGORIES, HARM_CATEGORIES, Category, Kind
from training.metrics.curves import BoolArray, FloatArray, IntArray
from training.targets import OPENAI_MODERATION, row_targets

_FACTS = b"weir"
_STRINGS = ("id", "text", "source", "kind", "labels")
_HARMS = frozenset(category.value for category in HARM_CATEGORIES)
KINDS = tuple(kind.value for kind in Kind)


class RowsError(Exception):
    """A file of rows or scores cannot be used; the message names the file and what is wrong, and quotes no value."""


@dataclass(frozen=True)
class ScoringFacts:
    """What the scores were made with. `points` names the operating point of each category, `thresholds` its value.

    `unknown_kinds` counts the scored rows whose kind is none of KINDS.
    """

    bundle: str
    commit: str
    data_hash: str
    points: Mapping[str, str]
    thresholds: Mapping[str, float]
    unknown_kinds: int = 0


@dataclass(frozen=True)
class ScoredRows:
    """Scores and labels of n texts, without the texts.

    `scores` and `targets` are [n, 7] in the order of CATEGORIES; a score is NaN where there was no text to
    judge, a target NaN where the row says nothing. `kind` is "" for an unlabelled row.
    """

    ids: Sequence[str]
    source: npt.NDArray[np.str_]
    kind: npt.NDArray[np.str_]
    targets: FloatArray
    scores: FloatArray
    tokens: IntArray
    windows: IntArray
    facts: ScoringFacts

    @property
    def flags(self) -> BoolArray:
        """Which categories are at or over the served threshold, [n, 7]."""
        thresholds = np.array([self.facts.thresholds[category.value] for category in CATEGORIES])
        return np.asarray(self.scores >= thresholds)

    @property
    def flagged(self) -> BoolArray:
        """Which texts are flagged for anything, [n]."""
        return np.asarray(self.flags.any(axis=1))

    def take(self, rows: npt.NDArray[np.intp]) -> ScoredRows:
        """Only these rows, in this order."""
        return ScoredRows(
            ids=[self.ids[row] for row in rows],
            source=self.source[rows],
            kind=self.kind[rows],
            targets=self.targets[rows],
            scores=self.scores[rows],
            tokens=self.tokens[rows],
            windows=self.windows[rows],
            facts=self.facts,
        )


def read_rows(paths: Sequence[Path]) -> datasets.Dataset:
    """Rows of parquet files, and of every parquet file of a folder, one after the other, with their `targets` [7].

    Raises RowsError if there is no such file, or if one has no row, no `text` column, or labels that cannot be used.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
    if not files:
        raise RowsError(f"no parquet file in {', '.join(map(str, paths))}")
    tables = [_read_file(file) for file in files]
    return datasets.Dataset(datasets.table.InMemoryTable(pa.concat_tables(tables)))


def _read_file(file: Path) -> pa.Table:
    table = _read_table(file)
    if "text" not in table.column_names:
        raise RowsError(f"{file} has no column `text`, only {', '.join(table.column_names)}")
    if not len(table):
        raise RowsError(f"{file} has no rows")
    columns = {name: _strings(file, table, name) for name in _STRINGS}
    columns["id"] = [f"{file.stem}-{row}" if value is None else value for row, value in enumerate(columns["id"])]
    columns["source"] = [file.stem if value is None else value for value in columns["source"]]
    harms = table["harm_categories"].to_pylist() if "harm_categories" in table.column_names else [None] * len(table)
    fields = zip(columns["source"], columns["kind"], harms, columns["labels"], strict=True)
    targets = [_targets(f"{file}, row {row}", *values) for row, values in enumerate(fields)]
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}).append_column(
        "targets", pa.array(targets, pa.list_(pa.float64()))
    )


def _read_table(file: Path) -> pa.Table:
    if not file.is_file():
        raise RowsError(f"{file} is not a file")
    try:
        present = pq.read_schema(file).names
        wanted = [name for name in (*_STRINGS, "harm_categories") if name in present]
        return pq.read_table(file, columns=wanted if "text" in present else None)
    except (pa.ArrowException, OSError) as error:
        raise RowsError(f"{file} is not parquet, or it is damaged") from error


def _strings(file: Path, table: pa.Table, name: str) -> list[str | None]:
    if name not in table.column_names:
        return [None] * len(table)
    found: list[str | None] = []
    for value in table[name].to_pylist():
        try:
            found.append(value if value is None or isinstance(value, str) else json.dumps(value))
        except TypeError as error:
            raise RowsError(f"{file}: `{name}` holds {type(value).__name__}, not strings") from error
    return found


def _targets(where: str, source: str | None, kind: str | None, harms: object, labels: str | None) -> FloatArray:
    """Targets [7] of one row, of which an unknown kind counts as none; RowsError names the column at `where`."""
    named = harms or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise RowsError(f"{where}: `harm_categories` is not a list of names")
    if not _HARMS.issuperset(named):
        raise RowsError(f"{where}: `harm_categories` names what is none of {', '.join(HARM_CATEGORIES)}")
    if source == OPENAI_MODERATION and labels:
        _check_labels(where, labels)
    return row_targets(source or "", kind if kind in KINDS else None, named, labels)


def _check_labels(where: str, labels: str) -> None:
    try:
        found = json.loads(labels)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RowsError(f"{where}: `labels` is not a JSON object")
    if not all(value is None or value in (0, 1) for value in found.values()):
        raise RowsError(f"{where}: `labels` holds something else than 0, 1 and null")


def unknown_kinds(rows: datasets.Dataset) -> int:
    """How many rows say a kind that is none of ours; they count as unlabelled."""
    return sum(kind is not None and kind not in KINDS for kind in rows["kind"])


def sample_rows(source: Sequence[str], kind: Sequence[str | None], limit: int, seed: int) -> npt.NDArray[np.intp]:
    """At most `limit` rows of each set and kind, in their order.

    Drawn as `pandas.DataFrame.sample(random_state=seed)` draws, so that a table made with pandas can be repeated.
    """
    _, codes = np.unique(
        [f"{where}\t{what or ''}" for where, what in zip(source, kind, strict=True)], return_inverse=True
    )
    chosen: list[npt.NDArray[np.intp]] = []
    for code in range(int(codes.max(initial=-1)) + 1):
        members = np.flatnonzero(codes == code)
        if len(members) > limit:
            members = members[np.random.RandomState(seed).choice(len(members), size=limit, replace=False)]
        chosen.append(members)
    return np.sort(np.concatenate(chosen)) if chosen else np.array([], dtype=np.intp)


def join_scores(
    rows: datasets.Dataset, scores: FloatArray, tokens: IntArray, windows: IntArray, facts: ScoringFacts
) -> ScoredRows:
    """Rows and their scores [n, 7] as one; a kind that is not ours counts as unlabelled."""
    source = np.array(list(rows["source"]), dtype=np.str_)
    kind = np.array([kind if kind in KINDS else "" for kind in rows["kind"]], dtype=np.str_)
    counted = replace(facts, unknown_kinds=unknown_kinds(rows))
    return ScoredRows(list(rows["id"]), source, kind, targets_of(rows), scores, tokens, windows, counted)


def targets_of(rows: datasets.Dataset) -> FloatArray:
    """What :func:`read_rows` worked out, [n, 7]."""
    return np.array(list(rows["targets"]), dtype=np.float64).reshape(-1, len(CATEGORIES))


def write_scores(rows: ScoredRows, path: Path) -> None:
    """One row per text: id, source, kind, score_<category>, flagged, tokens, windows, target_<category>."""
    judged = ~np.isnan(rows.scores).any(axis=1)
    columns: dict[str, pa.Array] = {
        "id": pa.array(rows.ids, pa.string()),
        "source": pa.array(rows.source.tolist(), pa.string()),
        "kind": pa.array([kind or None for kind in rows.kind.tolist()], pa.string()),
    }
    for column, category in enumerate(CATEGORIES):
        columns[f"score_{category}"] = pa.array(rows.scores[:, column], pa.float64(), from_pandas=True)
    columns["flagged"] = pa.array(rows.flagged, pa.bool_(), mask=~judged)
    columns["tokens"], columns["windows"] = pa.array(rows.tokens, pa.int64()), pa.array(rows.windows, pa.int64())
    for column, category in enumerate(CATEGORIES):
        columns[f"target_{category}"] = pa.array(rows.targets[:, column], pa.float64(), from_pandas=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(asdict(rows.facts)).encode()})
    pq.write_table(table, path)


def read_scores(path: Path) -> ScoredRows:
    """What :func:`write_scores` wrote; RowsError if the file is something else, or holds nothing."""
    if not path.is_file():
        raise RowsError(f"{path} is not a file")
    try:
        table = pq.read_table(path)
        facts = ScoringFacts(**json.loads(table.schema.metadata[_FACTS]))
        scores = _matrix(table, "score")
        targets = _matrix(table, "target")
        kind = np.array([kind or "" for kind in table["kind"].to_pylist()], dtype=np.str_)
        source = np.array(table["source"].to_pylist(), dtype=np.str_)
        tokens, windows = table["tokens"].to_numpy(), table["windows"].to_numpy()
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise RowsError(f"{path} was not written by training.evaluate") from error
    if not len(table):
        raise RowsError(f"{path} has no rows")
    return ScoredRows(table["id"].to_pylist(), source, kind, targets, scores, tokens, windows, facts)


def _matrix(table: pa.Table, prefix: str) -> FloatArray:
    columns = [table[f"{prefix}_{category}"].to_numpy() for category in CATEGORIES]
    return np.stack(columns, axis=1).astype(np.float64)


def served_thresholds(
    points: Mapping[str, Mapping[Category, float]], default: str, overrides: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, float]]:
    """Point name and threshold of each category: `default` unless `overrides` names another.

    Raises RowsError for a category or a point that does not exist.
    """
    unknown = set(overrides) - {category.value for category in CATEGORIES}
    if unknown:
        raise RowsError(f"unknown category {', '.join(sorted(unknown))}; there are {', '.join(CATEGORIES)}")
    names = {category.value: overrides.get(category.value, default) for category in CATEGORIES}
    missing = {name for name in names.values() if name not in points}
    if missing:
        raise RowsError(f"the bundle has no operating point {', '.join(sorted(missing))}, only {', '.join(points)}")
    return names, {category.value: float(points[names[category.value]][category]) for category in CATEGORIES}
