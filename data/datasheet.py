"""The datasheet of a built dataset, generated from its facts.

The questions are those of Gebru et al. 2021, "Datasheets for datasets".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]


def datasheet(manifest: Facts, report: Facts) -> str:
    """Markdown that answers the questions of a datasheet with the counts of the build's report."""
    parts = (_motivation, _composition, _collection, _preprocessing, _uses, _distribution, _maintenance)
    return "\n\n".join(["# Datasheet of the training data", *(part(manifest, report) for part in parts)]) + "\n"


def _motivation(_manifest: Facts, _report: Facts) -> str:
    return (
        "## Motivation\n\n"
        "Made to fine-tune the classifier of Weir: one score for prompt injection and one for each of six kinds "
        "of harm, on what people and tools send to a language model and on what it answers. "
        "No public corpus covers all seven."
    )


def _composition(manifest: Facts, report: Facts) -> str:
    splits = report["splits"]
    kinds = ("benign", "harm", "injection", "jailbreak")
    split_rows = [
        [
            name,
            facts["rows"],
            facts["groups"],
            *(facts["kinds"].get(kind, 0) for kind in kinds),
            facts["weak"],
            facts["directions"].get("output", 0),
        ]
        for name, facts in splits.items()
    ]
    target_rows = [
        [name, counts["positive"], counts["negative"], counts["masked"]]
        for name, counts in splits["train"]["targets"].items()
    ]
    lengths = "; ".join(f"{name} {_inline(facts['characters'])}" for name, facts in splits.items())
    contents = (
        "The texts hold real attacks, slurs and threats, and messages of people in distress. They name public figures "
        "and, in posts, private people as their authors wrote them. Rows about minors were left out upstream."
    )
    return _paragraphs(
        "## Composition",
        f"{manifest['rows']} texts from {len(report['sources'])} sources; content hash `{manifest['content_hash']}`.",
        _table(["split", "rows", "groups", *kinds, "weak labels", "answers"], split_rows),
        "Targets of the training split. A masked row says nothing about the category and leaves its loss alone.",
        _table(["category", "positive", "negative", "masked"], target_rows),
        f"Length in characters: {lengths}.",
        contents,
    )


def _collection(_manifest: Facts, report: Facts) -> str:
    sources = sorted(report["sources"].items())
    head = ["source", "licence", "read", "compared", "repeated", "dropped", "used", "in validation", "weight"]
    rows = [
        [
            name,
            facts["licence"],
            facts["read"],
            facts["scanned"],
            sum(facts["repeated"].values()),
            sum(facts["dropped"].values()),
            facts["rows"],
            facts["validation"],
            facts["weight"],
        ]
        for name, facts in sources
    ]
    how = (
        "Public corpora as their authors publish them, and examples of our own generators. `compared` rows were held "
        "against the evaluation sets until enough were found; `repeated` ones left; `dropped` ones were duplicates or "
        "contradicted."
    )
    return _paragraphs(
        "## Collection process",
        how,
        _table(head, rows),
        "Origins: " + "; ".join(f"{name}: {facts['origin']}" for name, facts in sources) + ".",
        "Could not be had in this build: " + (", ".join(sorted(report["unavailable"])) or "none") + ".",
    )


def _preprocessing(manifest: Facts, report: Facts) -> str:
    overlap, groups = manifest["config"]["overlap"], manifest["config"]["groups"]
    repeated = report["repeated_evaluation_rows"]
    labels = (
        "Texts stay whole and as they were; windows are cut in training. Labels are those of the sources, mapped onto "
        "seven categories; what a source does not tell apart is masked."
    )
    held_out = (
        f"A row left if it equals an evaluation row or resembles one (Jaccard of word pairs from {overlap['jaccard']}, "
        f"or {overlap['containment']:.0%} of the shorter text's 8-word runs in common). {sum(repeated.values())} of "
        f"the compared rows did: {_inline(repeated)}. Evaluation sets that could not be read, and so were not "
        f"compared: {', '.join(report['evaluation_sets_missing']) or 'none'}."
    )
    doubled = (
        "Of equal texts one stayed; of contradicting labels none, or the one that is not weak: "
        f"{_inline(report['dropped'])}."
    )
    grouped = (
        f"Near-duplicates (MinHash, {groups['jaccard']}), templates, documents and translations of one text form a "
        "group, and a group stands on one side of the split. Largest groups: "
        f"{', '.join(map(str, report['largest_groups']))} rows."
    )
    return _paragraphs("## Preprocessing, cleaning, labelling", labels, held_out, doubled, grouped)


def _uses(_manifest: Facts, _report: Facts) -> str:
    return (
        "## Uses\n\n"
        "For training and calibrating text classifiers. Validation shares its sources with training, so it flatters "
        "a model; judge one on the public evaluation sets. Not for training a model that writes, and not for judging "
        "the people who wrote the texts."
    )


def _distribution(_manifest: Facts, _report: Facts) -> str:
    return (
        "## Distribution\n\n"
        "The rows are not distributed with Weir: the build makes them again from the sources. Only sources under "
        "permissive licences are used; the list above names each."
    )


def _maintenance(manifest: Facts, _report: Facts) -> str:
    return (
        "## Maintenance\n\n"
        f"`python -m data.build` with seed {manifest['config']['seed']} and the same inputs gives the same content "
        "hash. How much of each source is used, and why, stands in data/build.yaml."
    )


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(parts)


def _table(head: list[str], rows: Sequence[Sequence[object]]) -> str:
    lines: list[Sequence[object]] = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def _inline(counts: Facts) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
