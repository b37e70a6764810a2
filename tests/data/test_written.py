"""Our own texts that were written one by one: their form, their balance, and what words and length give away."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from data.generators.audit import audit
from data.schema import Category, Example, Kind
from data.sources import SourceUnavailableError, load, mirror_root
from data.sources.registry import Source, registry
from data.sources.weir_written import TOGETHER, examples

SPACES = re.compile(r"\s+")


@pytest.fixture(scope="module")
def written() -> list[Example]:
    return list(load("weir_written"))


def test_a_line_becomes_an_example_of_its_kind_with_its_neighbours_in_one_group(tmp_path: Path) -> None:
    attack = {"kind": "attack", "family": "tease", "text": "a"}
    harm = {"kind": "harm", "family": "threat", "text": "b", "categories": ["violence"]}
    harmless = {"kind": "harmless", "family": "sport", "text": "c"}
    lines = [attack, harm, harmless] + [{**harmless, "text": str(number)} for number in range(TOGETHER)] + [attack]
    (tmp_path / "roleplay.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "short.jsonl").write_text(json.dumps(attack))
    found = list(examples("train", tmp_path))
    assert [one.kind for one in found[:3]] == [Kind.JAILBREAK, Kind.HARM, Kind.BENIGN]
    assert found[1].targets()[Category.VIOLENCE] == 1.0
    assert found[0].labels == {"subject": "roleplay", "family": "tease"}
    assert len({one.group for one in found[:-2]}) == 1  # what follows an attack stays with it
    assert (found[-2].group, found[-1].group) == ("weir_written:roleplay:1", "weir_written:short:0")
    assert found[-1].kind is Kind.INJECTION


def test_they_are_read_from_the_project_whatever_mirror_is_named(tmp_path: Path, written: list[Example]) -> None:
    assert mirror_root(tmp_path) == tmp_path
    assert list(load("weir_written", "train", tmp_path)) == written
    with pytest.raises(SourceUnavailableError, match="no eval rows"):
        list(load("weir_written", "eval"))


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "poem", "family": "x", "text": "a"}',
        '{"kind": "harmless", "family": "x", "text": "a", "categories": ["hate"]}',
        '{"kind": "harm", "family": "x", "text": "a"}',
        "[]",
        "",
        "{",
    ],
)
def test_a_line_of_another_form_stops_the_build_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "short.jsonl").write_text(f"{line}\n")
    monkeypatch.setattr(Source, "home", tmp_path)
    with pytest.raises(ValueError, match=r"short\.jsonl, line 1"):
        list(load("weir_written"))


def test_a_folder_without_texts_is_an_error_and_no_empty_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no texts"):
        list(examples("train", tmp_path))


def test_every_text_stands_once_and_may_train(written: list[Example]) -> None:
    texts = Counter(SPACES.sub(" ", one.text.lower()).strip() for one in written)
    assert [text for text, count in texts.items() if count > 1] == []
    assert registry()["weir_written"].permissive
    assert all(10 <= len(one.text) <= 2500 for one in written)


def test_no_text_names_a_real_mailbox_or_site(written: list[Example]) -> None:
    """Mailboxes and links are under names that nobody can register (RFC 2606), so nobody is reached."""
    named = re.compile(r"(?:[\w.+-]+@|https?://)((?:[\w-]+\.)+[a-z]{2,})", re.IGNORECASE)
    hosts = {host.lower() for one in written for host in named.findall(one.text)}
    invented = re.compile(r"\.(?:example|invalid|test|local|internal)$|^(?:.*\.)?example\.(?:com|org|net)$")
    assert hosts
    assert [host for host in hosts if not invented.search(host)] == []


def test_attacks_and_harmless_texts_are_as_many_and_as_long(written: list[Example]) -> None:
    judged = [one for one in written if not one.labels["subject"].startswith("harm_") and one.kind is not Kind.HARM]
    counts = Counter(one.kind is Kind.BENIGN for one in judged)
    assert 0.9 < counts[True] / counts[False] < 1.3
    figures = audit(judged)
    assert figures.length <= 0.6
    assert figures.words <= 0.9
