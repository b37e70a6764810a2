"""The comparison with other guards: figures, page and pictures on made-up scores, and one run on a tiny bundle."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.accuracy import run
from benchmarks.accuracy.environments import UnavailableError
from benchmarks.accuracy.figures import Guard, accuracy_figures
from benchmarks.accuracy.page import BEGIN, END, fill_page, ordered
from benchmarks.accuracy.peers import PEERS
from benchmarks.accuracy.pictures import curves_picture, lengths_picture
from benchmarks.accuracy.sample import Sample, draw_sample
from benchmarks.accuracy.scores import Answer, text_key
from tests.tiny_bundle import ATTACK, CLEAN, build_tiny_bundle
from training.measure import Figures, Sampling
from training.metrics import Metrics, load_metrics

PAGE = f"# Title\n\nby hand\n\n{BEGIN}\nmade before\n{END}\n\nmore by hand\n"
ATTACKS, HARMLESS = 20, 100


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    return load_metrics(tmp_path_factory.mktemp("metrics"))


@pytest.fixture(scope="module")
def sample() -> Sample:
    sources = ["one"] * 10 + ["two"] * 10 + ["notinject"] * 50 + ["calm"] * 50
    targets = np.array([1.0] * ATTACKS + [0.0] * HARMLESS)
    return Sample([f"text {number}" for number in range(len(sources))], np.array(sources), targets)


def guard(name: str, sample: Sample, caught: int, *, missing: str | None = None) -> Guard:
    """Scores under which exactly `caught` of the 20 attacks stand above every harmless text; flags above 0.5."""
    scores = [0.9] * caught + [0.1] * (ATTACKS - caught) + [0.2 + 0.001 * number for number in range(HARMLESS)]
    answers = {text_key(t): Answer(score, score > 0.5) for t, score in zip(sample.texts, scores, strict=True)}
    return Guard(name, f"Guard {name}", f"About {name}.", {} if missing else answers, missing)


@pytest.fixture(scope="module")
def guards(sample: Sample) -> list[Guard]:
    return [
        guard("ours", sample, 5),
        guard("weak", sample, 10),
        guard("strong", sample, 20),
        guard("absent", sample, 0, missing="cannot be installed: no such package"),
    ]


@pytest.fixture(scope="module")
def figures(guards: list[Guard], sample: Sample, metrics: Metrics) -> Figures:
    tokens = np.arange(len(sample.texts)) * 10
    facts = {"bundle": "b1", "commit": "c" * 40, "data_hash": "d" * 64, "limit": 150, "seed": 5, "replicates": 20}
    return facts | accuracy_figures(guards, sample, tokens, metrics, Sampling(20, 5))


def test_each_guard_is_measured_at_its_own_threshold(figures: Figures) -> None:
    found = {each["name"]: each for each in figures["guards"]}
    # set "one" is the first ten attacks, "two" the other ten: 5 of 20 are half of one set and none of the other
    assert found["ours"]["pooled"]["at"]["1%"]["recall"]["value"] == pytest.approx(0.25)
    assert found["weak"]["pooled"]["at"]["1%"]["recall"]["value"] == pytest.approx(0.5)
    assert found["strong"]["pooled"]["auc"]["value"] == 1.0
    assert found["strong"]["pooled"]["served"] | {"recall_by_set": 0, "fpr_by_source": 0} == {
        "recall": 1.0, "fpr": 0.0, "recall_by_set": 0, "fpr_by_source": 0,
    }  # fmt: skip
    assert (figures["attacks"], figures["harmless"]) == (ATTACKS, HARMLESS)


def test_a_guard_that_could_not_be_asked_keeps_its_place_with_the_reason(figures: Figures) -> None:
    page = fill_page(PAGE, figures)
    assert "| Guard absent | cannot be installed: no such package | \N{EN DASH} |" in page
    assert "**Guard absent**: About absent." in page


def test_ours_comes_first_and_the_others_by_recall(figures: Figures) -> None:
    assert [each["name"] for each in ordered(figures["guards"])] == ["ours", "strong", "weak"]
    lines = [line.split(" |")[0] for line in fill_page(PAGE, figures).splitlines() if line.startswith("| Guard")]
    assert lines == ["| Guard ours", "| Guard strong", "| Guard weak", "| Guard absent"]


def test_the_page_keeps_what_is_written_by_hand_and_made_twice_is_the_same(figures: Figures) -> None:
    page = fill_page(PAGE, figures)
    assert page.startswith("# Title\n\nby hand\n")
    assert page.endswith("\n\nmore by hand\n")
    assert "made before" not in page
    assert fill_page(page, figures) == page


def test_the_page_gives_figures_with_intervals(figures: Figures) -> None:
    ours = next(line for line in fill_page(PAGE, figures).splitlines() if line.startswith("| Guard ours"))
    assert "25.0 % [" in ours
    assert "25.0 % / 0.0 %" in ours
    assert ours.endswith("| 0.0 % |")


def test_length_is_shown_at_one_percent_and_as_shipped(figures: Figures) -> None:
    by_length = fill_page(PAGE, figures).split("### By length")[1].split("### The guards")[0]
    # text n has 10 n tokens, so that this line holds the texts 4 to 6, of which ours catches the first
    none = "\N{EN DASH}"
    rows = [line for line in by_length.splitlines() if line.startswith("| 33-64 |")]
    assert rows == [f"| 33-64 | 3 / 0 | 33.3 % / {none} | 100.0 % / {none} | 100.0 % / {none} |"] * 2
    changed = json.loads(json.dumps(figures))
    for bucket in changed["guards"][0]["lengths"]:
        bucket["served"]["recall"] = bucket["served"]["fpr"] = {"value": 0.125, "of": 8}
    other = fill_page(PAGE, changed).split("### By length")[1]
    assert other.count("| 12.5 % / 12.5 % |") == len(changed["guards"][0]["lengths"])
    assert rows[0] in other.split("Out of the box")[0]


def test_the_page_says_where_the_code_was_changed(figures: Figures) -> None:
    assert "(commit `ccccccc`, data" in fill_page(PAGE, figures)
    assert "(commit `ccccccc-dirty`, data" in fill_page(PAGE, figures | {"commit": "c" * 40 + "-dirty"})


def test_another_sample_and_other_sets_are_said_to_be_so(figures: Figures) -> None:
    assert "Not the sample of 150 rows" in fill_page(PAGE, figures | {"limit": 10})
    assert "Not the sample" not in fill_page(PAGE, figures)
    assert "Not the seven public attack sets" in fill_page(PAGE, figures)


def test_a_page_without_its_marks_is_refused(figures: Figures) -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        fill_page(f"# Title\n{BEGIN}\n", figures)


def test_pictures_show_every_measured_guard_and_are_the_same_each_time(
    guards: list[Guard], sample: Sample, figures: Figures
) -> None:
    heads = {each.title: each.head(sample) for each in guards if not each.missing}
    lengths = {each["title"]: each["lengths"] for each in ordered(figures["guards"])}
    for draw in (lambda: curves_picture(heads, sample.source), lambda: lengths_picture(lengths)):
        picture = draw()
        ET.fromstring(picture)
        assert all(title in picture for title in heads)
        assert draw() == picture


def test_texts_of_one_class_only_cannot_be_compared(guards: list[Guard], sample: Sample, metrics: Metrics) -> None:
    attacks = Sample(sample.texts[:5], sample.source[:5], sample.targets[:5])
    with pytest.raises(ValueError, match="no attack or no harmless"):
        accuracy_figures(guards, attacks, np.arange(5), metrics, Sampling(2))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = {
        "text": [f"{ATTACK} {n}" for n in range(6)] + [f"{CLEAN} {n}" for n in range(12)] + ["a plain harmful request"],
        "source": ["attacks"] * 6 + ["notinject"] * 12 + ["harms"],
        "kind": ["injection"] * 6 + ["benign"] * 12 + ["harm"],
    }
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    return folder


def test_the_sample_is_the_evaluation_s_without_plain_harm(corpus: Path) -> None:
    drawn = draw_sample([corpus], 4, 5)
    assert drawn.targets.tolist() == [1] * 4 + [0] * 4
    assert not any("harmful" in text for text in drawn.texts)
    assert len(draw_sample([corpus], None, 5).texts) == 18


@pytest.fixture
def command(tmp_path: Path, corpus: Path) -> list[str]:
    bundle = build_tiny_bundle(tmp_path / "bundle")
    page = tmp_path / "docs" / "accuracy.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    options = {"--data": corpus, "--bundle": bundle, "--page": page, "--work": tmp_path / "work", "--replicates": 20}
    return [str(word) for option in options.items() for word in option]


def test_a_run_asks_our_bundle_and_reports_every_peer(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> Path:
        raise UnavailableError("cannot be installed: no registry here")

    monkeypatch.setattr(run, "environment", refuse)
    assert run.main(command) == 0
    assert "weir: measured" in capsys.readouterr().out
    page = (tmp_path / "docs" / "accuracy.md").read_text()
    assert "| Weir tiny-1 | 100.0 % [100.0-100.0] |" in page
    assert page.count("cannot be installed: no registry here") == len(PEERS)
    for picture in ("curves.svg", "lengths.svg"):
        assert (tmp_path / "docs" / "accuracy" / picture).stat().st_size > 1000
    assert json.loads((tmp_path / "work" / "figures.json").read_text())["attacks"] == 6


def test_a_second_run_asks_for_nothing_that_is_known(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.main([*command, "--guards", "weir"]) == 0
    monkeypatch.setattr(run, "own_answers", None)  # would be called for a missing text
    assert run.main([*command, "--guards", "weir"]) == 0


def test_cached_asks_nobody_and_says_what_is_missing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([*command, "--cached"]) == 0
    assert "weir: not finished: 18 texts without an answer" in capsys.readouterr().out
    assert "| Weir tiny-1 | not finished" in (tmp_path / "docs" / "accuracy.md").read_text()


def test_a_bundle_that_is_not_there_is_an_error(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main([*command, "--bundle", "nowhere"]) == 2
    assert "bench-accuracy:" in capsys.readouterr().err
