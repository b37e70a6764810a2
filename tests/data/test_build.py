"""What a built dataset promises, on the rows of data/samples and on small mirrors made here."""

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.build import HERE, build, main
from data.config import BuildConfig
from data.generators import generate
from data.overlap import main as audit
from data.schema import CATEGORIES, Direction, Example, Kind, LicenceClass
from data.sources import SourceUnavailableError, load, registry
from data.sources.mirror import write_rows

SAMPLES = HERE / "samples"
COLUMNS = ["id", "text", "source", "kind", "direction", "split", "group", "weak", "weight"]


@pytest.fixture(scope="module")
def config() -> BuildConfig:
    return BuildConfig.load(SAMPLES / "build.yaml")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dataset")
    assert main(["--samples", "--out", str(out)]) == 0
    return out


def read(dataset: Path) -> list[dict[str, object]]:
    return [row for split in ("train", "validation") for row in pq.read_table(dataset / f"{split}.parquet").to_pylist()]


def mirror(root: Path, rows: dict[str, list[Example]], held_out: dict[str, list[Example]] | None = None) -> Path:
    for part, sources in (("train", rows), ("eval", held_out or {})):
        for name, examples in sources.items():
            write_rows(root / part / f"{name}.parquet", examples)
    return root


def row(text: str, kind: Kind = Kind.BENIGN, source: str = "sms_spam", **fields: object) -> Example:
    example = Example(id=f"{source}-{text}", text=text, source=source, kind=kind, licence_class=LicenceClass.PERMISSIVE)
    return replace(example, **fields)  # type: ignore[arg-type]


def using(config: BuildConfig, **caps: dict[Kind, int]) -> BuildConfig:
    return config.model_validate(
        {**config.model_dump(), "sources": {name: {"caps": cap} for name, cap in caps.items()}}
    )


def test_the_columns_are_those_that_training_reads(dataset: Path) -> None:
    schema = pq.read_schema(dataset / "train.parquet")
    assert schema.names == COLUMNS + [f"target_{category}" for category in CATEGORIES]
    assert all(str(schema.field(f"target_{category}").type) == "float" for category in CATEGORIES)


def test_values_are_allowed_ones_and_ids_are_unique(dataset: Path) -> None:
    rows = read(dataset)
    assert {one["kind"] for one in rows} == set(Kind)
    assert {one["direction"] for one in rows} == set(Direction)
    assert {one[f"target_{category}"] for one in rows for category in CATEGORIES} == {0.0, 1.0, None}
    assert len({one["id"] for one in rows}) == len(rows)
    assert all(str(one["text"]).strip() for one in rows)


def test_every_category_has_positives_and_both_splits_have_attacks(dataset: Path) -> None:
    rows = read(dataset)
    for category in CATEGORIES:
        assert sum(one[f"target_{category}"] == 1 for one in rows) >= 10
    assert {one["split"] for one in rows if one["target_injection"] == 1} == {"train", "validation"}


def test_no_group_stands_on_two_sides(dataset: Path) -> None:
    sides = {(one["group"], one["split"]) for one in read(dataset)}
    assert len(sides) == len({group for group, _ in sides})


def test_a_poisoned_document_stands_beside_its_clean_twin(dataset: Path) -> None:
    documents = [one for one in load("weir_samples") if one.group]
    sides = {one["id"]: one["split"] for one in read(dataset)}
    for name in {one.group for one in documents}:
        members = [one for one in documents if one.group == name]
        assert {one.kind for one in members} == {Kind.BENIGN, Kind.INJECTION}
        assert len({sides[one.id] for one in members}) == 1


def test_a_build_says_which_code_made_it(config: BuildConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_COMMIT", "abc-dirty")
    assert build(config, tmp_path, data_dir=SAMPLES)["commit"] == "abc-dirty"
    assert json.loads((tmp_path / "manifest.json").read_text())["commit"] == "abc-dirty"


def test_two_builds_are_equal(dataset: Path, config: BuildConfig, tmp_path: Path) -> None:
    again = build(config, tmp_path, data_dir=SAMPLES)
    assert again["content_hash"] == json.loads((dataset / "manifest.json").read_text())["content_hash"]
    assert read(tmp_path) == read(dataset)


def test_another_seed_gives_another_split(dataset: Path, config: BuildConfig, tmp_path: Path) -> None:
    build(config.model_copy(update={"seed": 8}), tmp_path, data_dir=SAMPLES)
    assert {one["id"] for one in read(tmp_path)} == {one["id"] for one in read(dataset)}
    assert read(tmp_path) != read(dataset)


def test_only_permissive_rows_are_used(config: BuildConfig, tmp_path: Path) -> None:
    rows = [row("free text", licence_class=LicenceClass.PERMISSIVE_UPSTREAM)]
    rows += [row(f"text under {one}", licence_class=one) for one in LicenceClass if not one.startswith("permissive")]
    data_dir = mirror(tmp_path / "mirror", {"sms_spam": rows})
    build(using(config, sms_spam={Kind.BENIGN: 10}), tmp_path / "out", data_dir=data_dir)
    assert [one["text"] for one in read(tmp_path / "out")] == ["free text"]


def test_no_near_duplicate_of_an_evaluation_row_is_used(config: BuildConfig, tmp_path: Path) -> None:
    held_out = "please tell me which of the four trains to the coast leaves before noon on Sunday"
    rows = [row(held_out), row(held_out.replace("noon", "dawn")), row("a b c d " * 9 + held_out), row("lentil soup")]
    evaluation = {"notinject": [row(held_out, source="notinject", eval_only=True)]}
    data_dir = mirror(tmp_path / "mirror", {"sms_spam": rows}, evaluation)
    build(using(config, sms_spam={Kind.BENIGN: 10}), tmp_path / "out", data_dir=data_dir)
    assert [one["text"] for one in read(tmp_path / "out")] == ["lentil soup"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["repeated_evaluation_rows"] == {"notinject": 3}


def test_the_audit_command_passes_a_clean_dataset_only_if_it_could_read_every_evaluation_set(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = {name: [row(f"a held out text of {name}")] for name, one in registry().items() if "eval" in one.parts}
    whole = mirror(tmp_path / "whole", {}, held_out)
    assert audit(["--dataset", str(dataset), "--data-dir", str(whole)]) == 0
    (whole / "eval" / "notinject.parquet").unlink()
    assert audit(["--dataset", str(dataset), "--data-dir", str(whole)]) == 2
    assert "notinject" in capsys.readouterr().out


def test_the_audit_command_fails_a_dataset_that_repeats_an_evaluation_row(dataset: Path, tmp_path: Path) -> None:
    for split in ("train", "validation"):
        table = pq.read_table(dataset / f"{split}.parquet")
        texts = [next(load("weir_samples", "eval")).text, *table["text"].to_pylist()[1:]]
        position = table.schema.get_field_index("text")
        pq.write_table(table.set_column(position, "text", pa.array(texts)), tmp_path / f"{split}.parquet")
    assert audit(["--dataset", str(tmp_path), "--data-dir", str(SAMPLES)]) == 1


def test_caps_are_kept(config: BuildConfig, tmp_path: Path) -> None:
    caps = {Kind.BENIGN: 20, Kind.HARM: 15, Kind.INJECTION: 5}
    build(using(config, weir_samples=caps), tmp_path, data_dir=SAMPLES)
    assert Counter(one["kind"] for one in read(tmp_path)) == caps


def test_generated_examples_join_in_and_keep_their_groups_together(config: BuildConfig, tmp_path: Path) -> None:
    more = config.model_copy(update={"generated": {"generated": 200}})
    build(more, tmp_path, data_dir=SAMPLES)
    assert Counter(one["source"] for one in read(tmp_path))["weir_generated"] > 150
    test_no_group_stands_on_two_sides(tmp_path)


def test_our_own_texts_stand_on_the_side_that_they_were_made_for(config: BuildConfig, tmp_path: Path) -> None:
    """Measurements that draw texts of the validation side rely on it."""
    more = config.model_copy(update={"generated": {"generated": 300, "direct": 300}})
    build(more, tmp_path, data_dir=SAMPLES)
    sides = {name: {one.id: one.split for one in generate(name, config.seed, 300)} for name in more.generated}
    own = [one for one in read(tmp_path) if str(one["source"]).removeprefix("weir_") in sides]
    assert {one["split"] for one in own} == {"train", "validation"}
    assert all(sides[str(one["source"]).removeprefix("weir_")][str(one["id"])] == one["split"] for one in own)


def test_what_a_model_has_learned_already_does_not_validate_it(
    dataset: Path, config: BuildConfig, tmp_path: Path
) -> None:
    other = config.model_copy(update={"seed": config.seed + 1})
    learned = set(pq.read_table(dataset / "train.parquet")["text"].to_pylist())
    for folder, known in (("afresh", None), ("going-on", dataset)):
        build(other, tmp_path / folder, data_dir=SAMPLES, learned=known)
        validation = set(pq.read_table(tmp_path / folder / "validation.parquet")["text"].to_pylist())
        assert bool(validation & learned) == (known is None)
    assert validation


def test_nothing_planted_has_its_document_or_its_attack_on_the_other_side(config: BuildConfig, tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(400)]
    documents = [
        row(" ".join(random.Random(number).choices(words, k=60)) + ".", source="goemotions") for number in range(60)
    ]
    attacks = [
        row(f"send {words[n]} {words[n + 1]} to them", Kind.INJECTION, "deepset_prompt_injections") for n in range(99)
    ]
    root = mirror(tmp_path / "mirror", {"goemotions": documents, "deepset_prompt_injections": attacks})
    planted = {"count": 60, "documents": ["goemotions"], "payloads": ["deepset_prompt_injections"]}
    settings = using(config, goemotions={Kind.BENIGN: 60}, deepset_prompt_injections={Kind.INJECTION: 99})
    build(BuildConfig.model_validate({**settings.model_dump(), "planted": planted}), tmp_path / "out", data_dir=root)
    rows = read(tmp_path / "out")
    made = [one for one in rows if one["source"] == "weir_planted"]
    assert {one["split"] for one in made} == {"train", "validation"}
    test_no_group_stands_on_two_sides(tmp_path / "out")
    for attack in (one for one in rows if one["source"] == "deepset_prompt_injections"):
        assert {one["split"] for one in made if str(attack["text"]) in str(one["text"])} <= {attack["split"]}


def test_a_source_that_cannot_be_read_is_named_and_none_at_all_is_an_error(config: BuildConfig, tmp_path: Path) -> None:
    data_dir = mirror(tmp_path / "mirror", {"sms_spam": [row("hello there")]})
    both = using(config, sms_spam={Kind.BENIGN: 1}, clinc150={Kind.BENIGN: 1})
    manifest = build(both, tmp_path / "out", data_dir=data_dir)
    assert manifest["unavailable"] == {"clinc150": "clinc150: the mirror has no train/clinc150.parquet"}
    generated = {"generated": {"generated": 9}}
    none = using(config, clinc150={Kind.BENIGN: 1}).model_copy(update=generated)
    with pytest.raises(SourceUnavailableError, match="clinc150"):
        build(none, tmp_path / "none", data_dir=data_dir)


def test_a_killed_build_goes_on_where_it_stopped_and_gives_the_same_dataset(dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data.build", "--samples", "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=HERE.parent, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("weir_samples" in line for line in process.stderr)  # the first source is done
        process.kill()
    (remembered,) = tmp_path.glob("cache/*.parquet")
    written = remembered.stat().st_mtime_ns
    assert main(["--samples", "--out", str(tmp_path)]) == 0
    assert remembered.stat().st_mtime_ns == written
    assert read(tmp_path) == read(dataset)


def test_a_changed_row_is_read_again(config: BuildConfig, tmp_path: Path) -> None:
    only = using(config, sms_spam={Kind.BENIGN: 5})
    for text in ("first text", "second text"):
        data_dir = mirror(tmp_path / "mirror", {"sms_spam": [row(text)]})
        build(only, tmp_path / "out", data_dir=data_dir)
        assert [one["text"] for one in read(tmp_path / "out")] == [text]


def test_report_and_datasheet_agree_with_the_rows_and_quote_none(dataset: Path) -> None:
    rows = read(dataset)
    report = json.loads((dataset / "report.json").read_text())
    sheet = (dataset / "datasheet.md").read_text()
    assert sum(report["splits"][split]["rows"] for split in ("train", "validation")) == len(rows)
    assert f"{len(rows)} texts" in sheet
    assert not any(str(one["text"]) in sheet for one in rows)


def test_build_yaml_speaks_of_every_corpus_once_and_uses_permissive_ones_only() -> None:
    config = BuildConfig.load(HERE / "build.yaml")
    train = {name for name, source in registry().items() if "train" in source.parts}
    assert set(config.sources) | set(config.excluded) == train
    assert not set(config.sources) & set(config.excluded)
    assert all(registry()[name].permissive for name in config.sources)
