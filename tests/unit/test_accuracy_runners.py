"""How guards are installed and asked, with stand-ins for the guards: the real ones are never installed here."""

import ast
import fcntl
import json
import sys
from pathlib import Path

import pytest

from benchmarks.accuracy.environments import UnavailableError, environment, fingerprint, last_words
from benchmarks.accuracy.peers import PEERS, RUNNERS, Peer
from benchmarks.accuracy.runners.exchange import overlapping
from benchmarks.accuracy.scores import Answer, ScoreFile, ask, text_key

STAND_IN = """
import sys
from benchmarks.accuracy.runners.exchange import answer

def judge(text):
    print("chatter that is no answer")
    if text == "break":
        raise ValueError("the guard broke")
    return len(text) / 100, text.isupper()

answer(judge)
"""


@pytest.fixture
def runner(tmp_path: Path) -> list[str]:
    script = tmp_path / "runner.py"
    script.write_text(STAND_IN)
    return [sys.executable, str(script)]


@pytest.fixture
def scores(tmp_path: Path) -> ScoreFile:
    return ScoreFile(tmp_path / "scores" / "guard.jsonl")


def put(runner: list[str], scores: ScoreFile, *texts: str) -> None:
    ask(runner, scores.missing(texts), scores, scores.path.with_suffix(".log"))


def test_a_runner_answers_each_text_with_a_score_and_its_own_decision(runner: list[str], scores: ScoreFile) -> None:
    put(runner, scores, "quiet", "LOUD NOISE", "ünï\ncode \ud83d")
    assert scores.answers[text_key("quiet")] == Answer(0.05, False)
    assert scores.answers[text_key("LOUD NOISE")] == Answer(0.1, True)
    assert len(scores.answers) == 3


def test_answers_survive_and_only_new_texts_are_asked_again(runner: list[str], scores: ScoreFile) -> None:
    put(runner, scores, "one", "two")
    again = ScoreFile(scores.path)
    assert again.answers == scores.answers
    assert list(again.missing(["one", "three", "two", "three"]).values()) == ["three"]


def test_no_text_is_written_beside_its_answer(runner: list[str], scores: ScoreFile) -> None:
    put(runner, scores, "a secret text")
    assert "secret" not in scores.path.read_text()


def test_a_broken_runner_says_why_and_loses_nothing(runner: list[str], scores: ScoreFile) -> None:
    with pytest.raises(UnavailableError, match=r"cannot be run: ValueError: the guard broke"):
        put(runner, scores, "before", "break", "after")
    assert set(ScoreFile(scores.path).answers) == {text_key("before")}


def test_a_runner_that_leaves_texts_out_is_not_believed(tmp_path: Path, scores: ScoreFile) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("pass")
    with pytest.raises(UnavailableError, match="it said nothing"):
        put([sys.executable, str(silent)], scores, "text")


def test_a_score_that_is_no_number_is_refused(tmp_path: Path, scores: ScoreFile) -> None:
    script = tmp_path / "nan.py"
    script.write_text('import json; print(json.dumps({"id": "x", "score": float("nan"), "flagged": False}))')
    with pytest.raises(UnavailableError, match="not a number"):
        put([sys.executable, str(script)], scores, "text")
    assert scores.answers == {}


def test_two_runs_never_ask_the_same_guard_at_once(runner: list[str], scores: ScoreFile) -> None:
    log = scores.path.with_suffix(".log")
    log.parent.mkdir()
    with log.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match="another run"):
            put(runner, scores, "text")


def test_a_line_cut_short_by_a_crash_is_asked_again(runner: list[str], scores: ScoreFile) -> None:
    put(runner, scores, "one", "two")
    whole = scores.path.read_text()
    scores.path.write_text(whole[:-20])
    mended = ScoreFile(scores.path)
    assert list(mended.missing(["one", "two"]).values()) == ["two"]
    put(runner, mended, "two")
    assert scores.path.read_text() == whole


def test_windows_overlap_by_half_and_reach_both_ends() -> None:
    text = "abcdefghij"
    offsets = [(at, at + 1) for at in range(10)]
    assert list(overlapping(text, offsets, 4)) == ["abcd", "cdef", "efgh", "ghij"]
    assert list(overlapping(text, offsets[:9], 4)) == ["abcd", "cdef", "efgh", "fghi"]


@pytest.mark.parametrize("size", [10, 11])
def test_a_text_that_fits_stays_as_it_is(size: int) -> None:
    text = " padded with spaces "
    assert list(overlapping(text, [(at, at + 1) for at in range(10)], size)) == [text]


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_has_pinned_packages_and_a_runner_that_imports_nothing_of_ours(peer: Peer) -> None:
    assert any("==" in requirement for requirement in (*peer.forced, *peer.requirements))
    imports = [
        node.module or "" for node in ast.walk(ast.parse(peer.runner.read_text())) if isinstance(node, ast.ImportFrom)
    ]
    ours = [
        name
        for name in imports
        if name.split(".")[0] in {"benchmarks", "data", "models", "serving", "training", "labeling"}
    ]
    assert ours == ["benchmarks.accuracy.runners.exchange"]


def test_every_runner_belongs_to_a_peer() -> None:
    assert {peer.runner for peer in PEERS} == set(RUNNERS.glob("*.py")) - {
        RUNNERS / "__init__.py",
        RUNNERS / "exchange.py",
    }


def test_what_is_installed_and_how_it_is_asked_are_part_of_a_score_s_name() -> None:
    first, second = PEERS[:2]
    assert fingerprint(first) == fingerprint(first)
    assert fingerprint(first) != fingerprint(second)
    newer = Peer(first.name, first.title, first.note, ("stackone-defender==99",))
    assert fingerprint(first) != fingerprint(newer)


PEER = Peer("thing", "Thing 1", "", ("thing==1",), forced=("stubborn==2",))


def stand_in_uv(folder: Path, body: str) -> list[str]:
    script = folder / "uv.py"
    script.write_text(
        "import json, pathlib, sys\n"
        f"with open({str(folder / 'calls')!r}, 'a') as calls:\n    print(json.dumps(sys.argv[1:]), file=calls)\n{body}"
    )
    return [sys.executable, str(script)]


MAKES = """
if sys.argv[1] == "venv":
    python = pathlib.Path(sys.argv[-1]) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
"""


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    uv = stand_in_uv(tmp_path, MAKES)
    python = environment(PEER, tmp_path / "peers", uv)
    assert python == tmp_path / "peers" / "thing" / "bin" / "python"
    assert [call[-1] for call in calls(tmp_path)] == [str(python.parents[1]), "thing==1", "stubborn==2"]
    assert "--no-deps" in calls(tmp_path)[2]
    environment(PEER, tmp_path / "peers", uv)
    assert len(calls(tmp_path)) == 3


def test_an_environment_is_filled_again_when_the_requirements_change(tmp_path: Path) -> None:
    uv = stand_in_uv(tmp_path, MAKES)
    environment(PEER, tmp_path / "peers", uv)
    environment(Peer("thing", "Thing 2", "", ("thing==2",)), tmp_path / "peers", uv)
    assert [call[0] for call in calls(tmp_path)] == ["venv", "pip", "pip", "pip"]
    assert calls(tmp_path)[-1][-1] == "thing==2"


def test_a_failed_installation_is_told_in_the_installer_s_words_and_tried_again(tmp_path: Path) -> None:
    fails = stand_in_uv(tmp_path, MAKES + "\nif sys.argv[1] == 'pip':\n    sys.exit('no such package')\n")
    with pytest.raises(UnavailableError, match="cannot be installed: no such package"):
        environment(PEER, tmp_path / "peers", fails)
    with pytest.raises(UnavailableError):
        environment(PEER, tmp_path / "peers", fails)


def test_the_reason_is_the_last_line_that_says_something() -> None:
    assert last_words("Traceback\n  more\nValueError: why\n\n") == "ValueError: why"
    assert last_words("\n") == "it said nothing"
