"""Which languages a model reads: what is drawn, what is counted, and where it ends up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.schema import Coverage, Kind
from models.bundle import load_bundle
from tests.tiny_bundle import build_tiny_bundle
from training import languages, model_card
from training.languages import (
    Judged,
    Row,
    by_corpus,
    by_language,
    by_script,
    by_share,
    generated_rows,
    is_read,
    scripts_of,
)
from training.measure import Figures


def rows(language: str, text: str, attacks: int, benign: int) -> list[Row]:
    return [
        *(Row(text, Kind.INJECTION, "ours", language) for _ in range(attacks)),
        *(Row(text, Kind.BENIGN, "ours", language) for _ in range(benign)),
    ]


def judged(found: list[bool], readable: list[float] | None = None) -> Judged:
    shares = readable or [1.0] * len(found)
    return Judged(np.array(found), np.zeros(len(found), dtype=np.bool_), [Coverage(9, 9, 1, share) for share in shares])


def test_only_validation_rows_in_the_language_alone_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_DRAWN", 1_500)
    drawn = generated_rows(seed=1, per=2)
    places = [(row.language, row.kind is Kind.BENIGN) for row in drawn]
    assert max(places.count(place) for place in places) <= 2
    assert {"en", "de", "ru", "zh"} <= {row.language for row in drawn}
    for row in drawn:
        if row.language == "ru":
            assert "cyrillic" in scripts_of([row.text])


def test_a_script_is_read_where_all_languages_in_it_together_hold() -> None:
    texts = [*rows("ru", "привет", 20, 20), *rows("uk", "добрий день", 20, 20), *rows("th", "สวัสดี", 20, 20)]
    found = ([True] * 18 + [False] * 2 + [False] * 20) * 2 + [False] * 40
    figures = by_language(texts, judged(found))
    scripts = by_script(texts, judged(found), figures)
    assert scripts["cyrillic"]["languages"] == ["ru", "uk"]
    assert (scripts["cyrillic"]["read"], scripts["thai"]["read"]) == (True, False)
    assert figures["ru"]["recall"]["value"] == pytest.approx(0.9)


def test_too_many_alarms_or_too_few_texts_are_no_reading() -> None:
    def figures(recall: float, alarms: float, texts: int) -> Figures:
        return {"recall": {"value": recall, "of": texts}, "false_positives": {"value": alarms, "of": texts}}

    assert is_read(figures(0.8, 0.02, 40))
    assert not is_read(figures(0.8, 0.2, 40))
    assert not is_read(figures(0.8, 0.02, 5))
    assert not is_read({"recall": None, "false_positives": None})


def test_injections_that_are_neither_found_nor_marked_are_counted() -> None:
    texts = rows("th", "สวัสดี", 4, 0)
    figures = by_language(texts, judged([True, False, False, False], [0.3, 0.2, 0.1, 0.9]))["th"]
    assert figures["missed_unmarked"]["count"] == 1
    assert figures["illegible"]["count"] == 3


def test_figures_by_share_leave_out_what_is_foreign_altogether() -> None:
    found = judged([True, False, False], [0.85, 0.85, 0.3])
    foreign = replace(found.coverage[2], foreign=9)
    figures = by_share(rows("ja", "日本", 3, 0), replace(found, coverage=[*found.coverage[:2], foreign]))
    assert {band: part["recall"]["count"] for band, part in figures.items()} == {"0.8-0.9": 1}


def test_a_corpus_row_without_a_language_goes_by_its_script() -> None:
    corpus = [Row("привет", Kind.INJECTION, "corpus", ""), Row("hello", Kind.INJECTION, "corpus", "")]
    assert set(by_corpus(corpus, judged([True, False]))["corpus"]) == {"cyrillic", "latin"}


def test_the_measured_bundle_reads_what_was_found_and_its_card_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(languages, "_DRAWN", 300)
    bundle, out = build_tiny_bundle(tmp_path / "tiny"), tmp_path / "languages.json"
    assert languages.main(["--bundle", str(bundle), "--per", "1", "--workers", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["read"] == ["latin"]
    assert model_card.main(["--bundle", str(bundle), "--languages", str(out)]) == 0
    card = capsys.readouterr().out
    assert "Scripts read: latin." in card
    assert "| Thai |" in card
    assert "\n\n\n" not in card
    report["read"] = ["latin", "greek"]
    evaluated = {"bundle": "tiny-1", "command": "", "rows": 0, "headline": None, "over_defence": {}, "harm": {}}
    evaluated |= {"pooled": {}}
    measured = model_card.measured(load_bundle(bundle), evaluated, None, tmp_path / "measured", report)
    assert load_bundle(measured).manifest.scripts == ("latin", "greek")
