"""The first stage of a build: of each source, the rows that may be used at all.

Licence filter, then rows in the order of preference until `pool` times the cap are found that repeat no
evaluation row. Every source is cached under a key of everything it depends on, so a killed build goes on
where it stopped and an unchanged source is not read again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from data.config import BuildConfig, SourceConfig
from data.overlap import HeldOut, OverlapIndex
from data.schema import Example, Kind
from data.selection import HARD_NEGATIVES, preferred
from data.sources import PERMISSIVE, load, mirror_path, mirror_root, registry
from data.sources.mirror import read_rows, write_rows


@dataclass(frozen=True, slots=True)
class Candidates:
    """The usable rows of one source, and what happened to the others.

    `rows` were read, of which `unlicensed` and `unwanted` (kind, weak, empty) were never looked at, `scanned`
    were compared with the evaluation sets, and `repeated` says how many repeat a row of which set.
    """

    source: str
    examples: list[Example]
    rows: int
    unlicensed: int
    unwanted: int
    scanned: int
    repeated: dict[str, int]


class CandidateStage:
    """Finds candidates and remembers them under `cache`."""

    def __init__(self, config: BuildConfig, held_out: HeldOut, data_dir: Path | None, cache: Path) -> None:
        self._config, self._held_out, self._data_dir, self._cache = config, held_out, data_dir, cache
        self._index: OverlapIndex | None = None
        self._common = _digest([config.overlap.model_dump_json(), str(config.seed), code_digest()])
        self._held_out_digest = _digest(f"{name}\0{text}" for name, text in held_out.texts)

    def of_source(self, name: str, setting: SourceConfig) -> Candidates:
        """The candidates of a corpus. Raises SourceUnavailableError where it cannot be read."""
        key = [name, setting.model_dump_json(), str(self._config.pool), self._input_digest(name)]
        return self._remembered(name, key, lambda: self._find(name, setting, load(name, "train", self._data_dir)))

    def of_examples(self, name: str, setting: SourceConfig, examples: Iterable[Example]) -> Candidates:
        """The candidates among examples of our own making, which are not cached."""
        return self._find(name, setting, examples)

    def _remembered(self, name: str, key: list[str], find: Callable[[], Candidates]) -> Candidates:
        digest = _digest([*key, self._common, self._held_out_digest])[:16]
        rows, facts = (self._cache / f"{name}-{digest}.{ending}" for ending in ("parquet", "json"))
        if rows.exists():
            return Candidates(examples=list(read_rows(rows)), **json.loads(facts.read_text(encoding="utf-8")))
        found = find()
        known = {field: value for field, value in asdict(found).items() if field != "examples"}
        self._cache.mkdir(parents=True, exist_ok=True)
        facts.write_text(json.dumps(known, sort_keys=True), encoding="utf-8")
        write_rows(rows, found.examples)  # last: its existence means that both are whole
        return found

    def _find(self, name: str, setting: SourceConfig, examples: Iterable[Example]) -> Candidates:
        read = list(examples)
        licensed = [one for one in read if one.licence_class in PERMISSIVE and not one.eval_only]
        wanted = [one for one in licensed if _wanted(one, setting)]
        room = {kind: round(cap * self._config.pool) for kind, cap in setting.caps.items()}
        kept: list[Example] = []
        repeated: Counter[str] = Counter()
        for example in preferred(wanted, self._config.seed):
            if room[example.kind] <= 0:
                continue
            match = self._overlap().match(example.text)
            if match is not None:
                repeated[match.evaluation_set] += 1
                continue
            room[example.kind] -= 1
            kept.append(example)
        return Candidates(
            source=name,
            examples=kept,
            rows=len(read),
            unlicensed=len(read) - len(licensed),
            unwanted=len(licensed) - len(wanted),
            scanned=len(kept) + repeated.total(),
            repeated=dict(repeated),
        )

    def _overlap(self) -> OverlapIndex:
        if self._index is None:
            limits = self._config.overlap
            self._index = OverlapIndex(self._held_out.texts, jaccard=limits.jaccard, containment=limits.containment)
        return self._index

    def _input_digest(self, name: str) -> str:
        source, root = registry()[name], mirror_root(self._data_dir)
        if source.home is not None:
            files = sorted(source.home.rglob("*.jsonl"))  # their names say what a row is
        elif root is not None:
            files = [mirror_path(name, "train", root)]
        else:
            return _digest([str(source), "public home"])
        contents = (f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files)
        return _digest([str(source), *contents])


def _wanted(example: Example, setting: SourceConfig) -> bool:
    usable = bool(example.text.strip()) and not (setting.skip_weak and example.weak)
    return usable and setting.caps.get(Kind(example.kind), 0) > 0


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def code_digest() -> str:
    """A hash of the files that decide what this stage yields, so that a change of code is a change of input."""
    here = Path(__file__).parent
    names = ("candidates", "overlap", "schema", "selection", "shingles")
    paths = [*(here / f"{name}.py" for name in names), HARD_NEGATIVES, *sorted((here / "sources").glob("*.py"))]
    return _digest(path.read_text(encoding="utf-8") for path in paths)
