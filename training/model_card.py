"""MODEL_CARD.md from facts: the manifest, the evaluation report, the dataset's report. Same facts, same card.

    python -m training.model_card --bundle DIR --report report.json [--dataset var/dataset/report.json]
        [--languages var/evaluation/languages.json] [--out DIR]

Without `--out` the card is printed. With it, a new bundle is written there: the same model, with the measured card,
the leading figures and the scripts that it reads in its manifest. (A bundle is never changed in place, since its
manifest holds the hash of every file, and the store the hash of the manifest.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from data.commit import short_commit
from models.bundle import MODEL_CARD, Bundle, BundleError, Manifest, load_bundle, write_bundle
from models.legibility import LATIN
from training.report import environment, percent

_WEAKEST = 3
LANGUAGE_NAMES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fa": "Persian", "fr": "French", "he": "Hebrew", "hi": "Hindi", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "jv": "Javanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "sv": "Swedish", "sw": "Swahili", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def render_card(
    facts: Mapping[str, Any],
    report: Mapping[str, Any] | None,
    dataset: Mapping[str, Any] | None = None,
    languages: Mapping[str, Any] | None = None,
) -> str:
    """The card of a model with manifest fields `facts`; without `report` it says that nothing was measured.

    `languages` is the report of :mod:`training.languages`.
    """
    templates = environment()
    templates.filters["bracketed"] = _bracketed
    templates.filters["short_commit"] = short_commit
    injection = report["pooled"].get("injection") if report else None
    head = report["headline"] if report else None
    int8 = facts["metrics"].get("parity", {}).get("int8")
    card = templates.get_template("model_card.md.j2").render(
        facts={"scripts": [LATIN], "commits": {}, **facts},
        report=report,
        dataset=dataset,
        languages=languages,
        names=LANGUAGE_NAMES,
        injection=injection,
        headline={name: found for name, found in (head or {}).items() if isinstance(found, Mapping)},
        int8=int8,
        flips=max((flips for point in int8["flips"].values() for flips in point.values()), default=0.0)
        if int8
        else None,
        failures=known_failures(report) if report else [],
    )
    return card.rstrip("\n") + "\n"


def known_failures(report: Mapping[str, Any]) -> list[str]:
    """Where the report shows it weakest, in sentences with their figures."""
    injection = report["pooled"].get("injection")
    if not injection:
        return []
    point = injection["at"]["1%"]
    missed = sorted(point["recall_by_set"].items(), key=lambda item: (item[1]["value"], item[0]))[:_WEAKEST]
    alarms = sorted(injection["served"]["fpr_by_source"].items(), key=lambda item: (-item[1]["value"], item[0]))[
        :_WEAKEST
    ]
    lines = [
        f"Of {name}, {percent(rate)} is caught at 1 % false positives." for name, rate in missed if rate["value"] < 0.9
    ]
    lines += [
        f"Of the benign texts of {name}, {percent(rate)} is flagged as injection, as served."
        for name, rate in alarms
        if rate["value"] > 0.01
    ]
    return lines


def leading_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest keeps of a report."""
    return {name: report[name] for name in ("command", "rows", "headline", "over_defence", "harm")}


def measured(
    bundle: Bundle,
    report: Mapping[str, Any],
    dataset: Mapping[str, Any] | None,
    out: Path,
    languages: Mapping[str, Any] | None = None,
) -> Path:
    """Write `bundle` again at `out` with its card, its leading figures and, from `languages`, the scripts it reads.

    Raises BundleError if a report is of another model, or if `out` exists.
    """
    for found in (report, languages or report):
        if found["bundle"] != bundle.manifest.version:
            raise BundleError(f"the report is of {found['bundle']}, the bundle is {bundle.manifest.version}")
    facts = manifest_fields(bundle.manifest)
    if languages:
        facts["scripts"] = languages["read"]
    facts["metrics"] = {**facts["metrics"], "evaluation": leading_figures(report)}
    files: dict[str, Path | bytes] = {name: bundle.read(name) for name in bundle.manifest.files}
    files[MODEL_CARD] = render_card(facts, report, dataset, languages).encode()
    return write_bundle(out, manifest_fields=facts, files=files)


def manifest_fields(manifest: Manifest) -> dict[str, Any]:
    """A manifest as :func:`models.bundle.write_bundle` takes it."""
    fields: dict[str, Any] = TypeAdapter(Manifest).dump_python(manifest, mode="json")
    return {name: value for name, value in fields.items() if name not in ("format", "files")}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the card, or write the measured bundle; exit status 2 if the inputs do not fit."""
    parser = argparse.ArgumentParser(
        prog="python -m training.model_card", description="The card of a model, from facts."
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--report", type=Path, help="report.json of training.evaluate")
    parser.add_argument("--dataset", type=Path, help="report.json of data.build")
    parser.add_argument("--languages", type=Path, help="languages.json of training.languages")
    parser.add_argument("--out", type=Path, help="write the bundle with its new card here (must not exist)")
    arguments = parser.parse_args(argv)
    if arguments.out and not arguments.report:
        parser.error("--out needs --report")
    report, dataset, languages = (_read(path) for path in (arguments.report, arguments.dataset, arguments.languages))
    try:
        bundle = load_bundle(arguments.bundle)
        if arguments.out and report is not None:
            print(measured(bundle, report, dataset, arguments.out, languages))
        else:
            facts = manifest_fields(bundle.manifest) | ({"scripts": languages["read"]} if languages else {})
            print(render_card(facts, report, dataset, languages), end="")
    except BundleError as error:
        print(f"model_card: {error}", file=sys.stderr)
        return 2
    return 0


def _read(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _bracketed(rate: Mapping[str, Any] | None) -> str:
    """A share with its interval, as Markdown can hold it in a table: "12.3 % [10.1-14.8]"."""
    if rate is None:
        return "not measured"
    return f"{rate['value'] * 100:.1f} % [{rate['low'] * 100:.1f}-{rate['high'] * 100:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
