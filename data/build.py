"""Build the training and validation sets.

    python -m data.build                  # our own texts, and corpora from WEIR_DATA_DIR, else from their public homes
    python -m data.build --samples        # the few hundred rows of data/samples, offline

Writes train.parquet, validation.parquet, report.json, datasheet.md and, last of all, manifest.json with the
content hash: a folder with a manifest is a whole dataset. The same inputs and configuration give the same hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from data.candidates import Candidates, CandidateStage
from data.commit import code_commit
from data.config import BuildConfig, FramingConfig, PlantingConfig, SourceConfig
from data.dataset import Row, content_hash, write_split
from data.datasheet import datasheet
from data.framing import SOURCE as FRAMED
from data.framing import frame
from data.generators import generate, source_of
from data.groups import Grouping, group
from data.overlap import evaluation_texts
from data.planting import SOURCE as PLANTED
from data.planting import plant
from data.quality import Cleaned, resolve
from data.report import Facts, build_report
from data.schema import Example, Kind
from data.selection import capped, paired, weights
from data.sources import SourceUnavailableError
from data.splits import Split, assign

HERE = Path(__file__).parent
Say = Callable[[str], None]
JoiningConfig = TypeVar("JoiningConfig", PlantingConfig, FramingConfig)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that stay, each with its group, and what was dropped on the way."""

    examples: list[Example]
    groups: list[str]
    cleaned: Cleaned


def build(
    config: BuildConfig,
    out: Path,
    *,
    data_dir: Path | None = None,
    learned: Path | None = None,
    say: Say = lambda _: None,
) -> dict[str, object]:
    """Build into the folder `out` and return its manifest.

    `learned` is a dataset that a model has learned from already which is to go on with this one: what resembles its
    training rows is for training here too, so that validation stays unseen.

    Raises SourceUnavailableError if not one source can be read.
    """
    cache = out / "cache"
    held_out = evaluation_texts(data_dir)
    say(f"{len(held_out.texts)} evaluation rows" + _named("; cannot be had", held_out.missing))
    stage = CandidateStage(config, held_out, data_dir, cache)
    candidates, unavailable = _gather(stage, config, say)
    if len(unavailable) == len(config.sources):
        raise SourceUnavailableError("no source can be read: " + "; ".join(unavailable.values()))
    selection = _select(config, candidates, cache, say)
    rows = _rows(config, selection, _texts(learned / "train.parquet") if learned else frozenset())
    joined = []
    if config.planted.count:
        joined.append(_joined(stage, config, rows, source=PLANTED, settings=config.planted, make=plant))
    if config.framed.count:
        joined.append(_joined(stage, config, rows, source=FRAMED, settings=config.framed, make=frame))
    for one in joined:
        candidates.append(one)
        rows += [Row(text, _own_side(text), text.group or text.id, 1.0) for text in one.examples]
        say(f"{one.source}: {len(one.examples)} texts")
    rows.sort(key=lambda row: row.example.id)
    manifest = _write(config, out, rows, Facts(candidates, selection.cleaned, held_out, unavailable), learned)
    say(f"{manifest['rows']} rows in {out}, content {str(manifest['content_hash'])[:12]}")
    return manifest


def _gather(stage: CandidateStage, config: BuildConfig, say: Say) -> tuple[list[Candidates], dict[str, str]]:
    found: list[Candidates] = []
    unavailable: dict[str, str] = {}
    for number, (name, setting) in enumerate(sorted(config.sources.items()), start=1):
        try:
            found.append(stage.of_source(name, setting))
        except SourceUnavailableError as error:
            unavailable[name] = str(error)
            say(f"[{number}/{len(config.sources)}] cannot be had: {error}")
            continue
        say(f"[{number}/{len(config.sources)}] {name}: {len(found[-1].examples)} candidates of {found[-1].rows} rows")
    for name, count in config.generated.items():
        found.append(_own(stage, source_of(name), count, generate(name, config.seed, count)))
        say(f"{found[-1].source}: {len(found[-1].examples)} candidates")
    return found, unavailable


def _own(stage: CandidateStage, source: str, count: int, examples: Iterable[Example]) -> Candidates:
    """All that we wrote ourselves, but what repeats an evaluation row."""
    return stage.of_examples(source, SourceConfig(caps=dict.fromkeys(Kind, count)), examples)


def _select(config: BuildConfig, candidates: Sequence[Candidates], cache: Path, say: Say) -> Selection:
    pool = [example for one in candidates for example in one.examples]
    grouping = _grouping(config, pool, cache, say)
    cleaned = resolve(pool, grouping.clusters)
    group_of = {example.id: name for example, name in zip(pool, grouping.groups, strict=True)}
    examples: list[Example] = []
    for one in candidates:
        rows = [example for example in cleaned.examples if example.source == one.source]
        setting = config.sources.get(one.source)
        if setting is None:
            examples.extend(rows)
            continue
        rows = paired(rows) if setting.twins else rows
        kept = capped(rows, [group_of[example.id] for example in rows], setting.caps, config.seed)
        examples.extend(rows[row] for row in kept)
    return Selection(examples, [group_of[example.id] for example in examples], cleaned)


def _grouping(config: BuildConfig, pool: Sequence[Example], cache: Path, say: Say) -> Grouping:
    settings = config.groups
    digest = hashlib.sha256(settings.model_dump_json().encode())
    digest.update((HERE / "groups.py").read_bytes() + (HERE / "shingles.py").read_bytes())
    for example in pool:
        digest.update(f"{example.id}\0{example.group}\0".encode() + example.text.encode("utf-8", "surrogatepass"))
    path = cache / f"groups-{digest.hexdigest()[:16]}.json"
    if not path.exists():
        say(f"grouping {len(pool)} candidates")
        found = group(
            pool, threshold=settings.jaccard, permutations=settings.permutations, prefix_words=settings.prefix_words
        )
        _write_text(path, json.dumps({"groups": found.groups, "clusters": found.clusters}))
    return Grouping(**json.loads(path.read_text(encoding="utf-8")))


def _texts(split: Path) -> frozenset[str]:
    return frozenset(pq.read_table(split, columns=["text"])["text"].to_pylist())


def _rows(config: BuildConfig, selection: Selection, learned: frozenset[str]) -> list[Row]:
    examples, groups = selection.examples, selection.groups
    strata = [_strata(example) for example in examples]
    own = {source_of(name) for name in config.generated}
    pinned = {row: _own_side(example) for row, example in enumerate(examples) if example.source in own}
    pinned |= {row: "train" for row, example in enumerate(examples) if example.text in learned}
    splits = assign(groups, strata, share=config.validation_share, seed=config.seed, pinned=pinned)
    weight = weights(examples, config.sources, config.weak_weight)
    rows = [Row(*row) for row in zip(examples, splits, groups, weight, strict=True)]
    # a text of ours that resembles one of the other side has no side
    return [row for number, row in enumerate(rows) if pinned.get(number, row.split) == row.split]


def _joined(
    stage: CandidateStage,
    config: BuildConfig,
    rows: Sequence[Row],
    *,
    source: str,
    settings: JoiningConfig,
    make: Callable[[Sequence[Example], JoiningConfig, int, Split], Iterable[Example]],
) -> Candidates:
    """Our words and those of public corpora in one text, for both sides, each made of the rows of its own side."""
    validation = round(settings.count * config.validation_share)
    counts: dict[Split, int] = {"train": settings.count - validation, "validation": validation}
    texts: list[Example] = []
    for side, count in counts.items():
        examples = [replace(row.example, group=row.group) for row in rows if row.split == side]
        texts += make(examples, settings.model_copy(update={"count": count}), config.seed, side)
    return _own(stage, source, settings.count, texts)


def _own_side(example: Example) -> Split:
    """The side that a text of ours was made for."""
    return "validation" if example.split == "validation" else "train"


def _strata(example: Example) -> list[str]:
    """What validation holds its share of: each kind of each source, and each of its categories."""
    return [f"{example.source} {name}" for name in (example.kind, *sorted(example.harm_categories))]


def _write(config: BuildConfig, out: Path, rows: list[Row], facts: Facts, learned: Path | None) -> dict[str, object]:
    manifest_path = out / "manifest.json"
    manifest_path.unlink(missing_ok=True)
    for split in ("train", "validation"):
        write_split(out / f"{split}.parquet", [row for row in rows if row.split == split])
    report = build_report(rows, facts)
    manifest: dict[str, object] = {
        "content_hash": content_hash(rows),
        "commit": code_commit(),
        "rows": len(rows),
        "splits": dict(sorted(Counter(row.split for row in rows).items())),
        "config": config.model_dump(mode="json"),
        "learned": json.loads((learned / "manifest.json").read_text())["content_hash"] if learned else None,
        "unavailable": facts.unavailable,
        "evaluation_sets_missing": facts.held_out.missing,
    }
    _write_text(out / "report.json", json.dumps(report, indent=1, sort_keys=True))
    _write_text(out / "datasheet.md", datasheet(manifest, report))
    _write_text(manifest_path, json.dumps(manifest, indent=1, sort_keys=True))
    return manifest


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _named(what: str, names: Sequence[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the dataset; 1 if no source can be read."""
    parser = argparse.ArgumentParser(prog="python -m data.build", description="Build the training and validation sets.")
    parser.add_argument("--config", type=Path, help="default: data/build.yaml")
    parser.add_argument("--out", type=Path, default=Path("var/dataset"))
    parser.add_argument("--samples", action="store_true", help="use data/samples instead of the public corpora")
    parser.add_argument("--learned", type=Path, help="a dataset that the model to go on with has learned from")
    options = parser.parse_args(arguments)
    samples = HERE / "samples"
    config = BuildConfig.load(options.config or (samples if options.samples else HERE) / "build.yaml")
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:6.1f} s  {line}\n")

    try:
        build(config, options.out, data_dir=samples if options.samples else None, learned=options.learned, say=say)
    except SourceUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
