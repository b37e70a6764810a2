"""The abuse simulator is honest: its traffic, its scores, its peers' arithmetic and its figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import limits.strategies
import pytest

from benchmarks.abuse import corpus, pictures, report
from benchmarks.abuse.attackers import ATTACKERS
from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.corpus import Corpus, Text
from benchmarks.abuse.figures import AttackFigures, attack_figures, containment, group_figures
from benchmarks.abuse.flask_peer import open_flask_limiter
from benchmarks.abuse.peers import FixedWindow, Gate, PlainGcra
from benchmarks.abuse.population import GROUPS, Span, population
from benchmarks.abuse.report import Results
from benchmarks.abuse.scores import PATH, ScorePool
from benchmarks.abuse.traffic import MINUTE, SECOND, Ask, Reply, Sender, key
from benchmarks.abuse.world import Fate, Run, run
from data.schema import CATEGORIES, Category
from serving.policy import Policy, load_policy

POLICY = load_policy(Path(__file__).parents[2] / "serving" / "policy.yaml")
SPAN = Span(0, 5 * MINUTE, 15 * MINUTE, 20 * MINUTE)
TEXT = Text(1, 2, "own", 3, "everyday", attack=False)
REACT = {"patient"}  # they read the answers; everybody else sends the same whatever comes back


class Always:
    """A gate that gives one answer to all, and notes what it was asked."""

    name = "always"

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Ask] = []

    async def ask(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        return self.reply


async def sent(senders: Iterable[Sender], reply: Reply = Reply(admitted=True)) -> list[Ask]:  # noqa: B008  frozen
    gate = Always(reply)
    await run(gate, senders)
    return gate.asked


def every(seconds: float, times: int, tokens: int = 1, tier: str = "authenticated") -> Sender:
    return Sender("x", (Ask(int(at * seconds * SECOND), key("k", "a", tier), TEXT, tokens) for at in range(times)))  # type: ignore[arg-type]


async def admitted(gate: Gate, *senders: Sender) -> list[float]:
    return [fate.ask.at_us / SECOND for fate in (await run(gate, senders)).fates if fate.reply.admitted]


async def test_the_same_seed_sends_the_same_traffic_and_another_seed_does_not() -> None:
    one, again, other = [await sent(population(seed, SPAN, 0.1)) for seed in (1, 1, 2)]
    assert one == again
    assert one != other


async def test_requests_come_in_the_order_of_time_and_within_the_span() -> None:
    asked = await sent(population(3, SPAN, 0.1))
    times = [ask.at_us for ask in asked]
    assert times == sorted(times)
    assert times[0] >= 0


async def test_leaving_a_group_out_changes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = await sent(population(1, SPAN, 0.1))
    monkeypatch.setattr("benchmarks.abuse.population.GROUPS", GROUPS[1:])
    without_first = await sent(population(1, SPAN, 0.1))
    assert without_first == [ask for ask in everybody if ask in set(without_first)]
    assert len(without_first) < len(everybody)


@pytest.mark.parametrize("name", sorted(set(ATTACKERS) - REACT))
async def test_an_open_loop_attacker_sends_the_same_whatever_it_is_answered(name: str) -> None:
    let_in, kept_out = [
        await sent(ATTACKERS[name].senders(Random(5), SPAN), reply)
        for reply in (Reply(admitted=True), Reply(admitted=False, factor=0.001, score=1.0))
    ]
    assert let_in == kept_out
    assert any(ask.malicious for ask in let_in)


async def test_the_patient_attacker_rests_when_it_is_found_out() -> None:
    attacker = ATTACKERS["patient"]
    let_in = await sent(attacker.senders(Random(5), SPAN))
    found_out = await sent(attacker.senders(Random(5), SPAN), Reply(admitted=True, factor=0.5))
    assert len(found_out) < len(let_in) / 3


async def test_attacks_last_from_onset_to_end() -> None:
    for attacker in ATTACKERS.values():
        asked = [ask for ask in await sent(attacker.senders(Random(1), SPAN)) if ask.malicious]
        assert SPAN.attack_us <= asked[0].at_us
        assert asked[-1].at_us < SPAN.attack_end_us


async def test_a_fixed_window_admits_its_quota_in_each_minute_of_the_clock() -> None:
    times = await admitted(FixedWindow(POLICY), every(0.5, 240))
    assert Counter(int(at // 60) for at in times) == {0: 50, 1: 50}


async def test_a_fixed_window_counts_tokens_too() -> None:
    assert len(await admitted(FixedWindow(POLICY), every(1, 59, tokens=24_000))) == 4  # of 100,000


async def test_plain_gcra_admits_a_burst_and_then_the_rate() -> None:
    times = await admitted(PlainGcra(POLICY, VirtualClock()), every(0.1, 1200))
    # 20 at once, and one more each 1.2 s: of 120 s all but the last 0.1 s have passed by the last request
    assert len(times) == 20 + int(119.9 / 1.2)
    assert sum(at < 2.4 for at in times) == 20 + 1  # of 24


async def test_plain_gcra_charges_tokens() -> None:
    # 100,000 at once, then 100,000 a minute: at 60 s another four texts of 24,000 have been paid for.
    times = await admitted(PlainGcra(POLICY, VirtualClock()), every(1, 61, tokens=24_000))
    assert len([at for at in times if at < 10]) == 4
    assert len(times) == 4 + 4


async def test_a_peer_keyed_by_credential_sees_a_stranger_in_every_guessed_key() -> None:
    guesses = [Ask(at * SECOND // 10, key(f"guess-{at}", "a"), TEXT, 1, known=False) for at in range(500)]
    for gate in (FixedWindow(POLICY), PlainGcra(POLICY, VirtualClock())):
        assert len(await admitted(gate, Sender("x", (ask for ask in guesses)))) == 500  # type: ignore[arg-type]


async def test_flask_limiter_keeps_a_moving_window_on_virtual_time() -> None:
    real = limits.strategies.time  # type: ignore[attr-defined]
    with open_flask_limiter(POLICY, VirtualClock()) as gate:
        times = await admitted(gate, every(0.5, 241))
    assert limits.strategies.time is real  # type: ignore[attr-defined]
    assert [at for at in times if at < 60] == [at / 2 for at in range(50)]
    assert len([at for at in times if 60 <= at < 120]) == 50


def fates(
    *passed: bool, group: str = "x", malicious: bool = True, honest: bool = True, every_s: float = 1.0
) -> list[Fate]:
    return [
        Fate(group, Ask(int(at * every_s * SECOND), key("k", "a"), TEXT, 1, malicious), Reply(ok), honest)
        for at, ok in enumerate(passed)
    ]


def test_the_first_twenty_malicious_requests_are_not_counted() -> None:
    ours = Run("ours", fates(*[True] * 30, *[False] * 70))
    plain = Run("plain GCRA", fates(*[True] * 90, *[False] * 10))
    found = attack_figures("a", 1, {"ours": ours, "plain GCRA": plain}, 3.0)
    assert found.admitted == {"ours": 10, "plain GCRA": 70}
    assert found.since_onset == 30
    assert found.reduction == pytest.approx(1 - 10 / 70)


def test_an_attack_is_contained_once_a_tenth_of_forty_requests_gets_through() -> None:
    assert containment(fates(*[True] * 30, *[False] * 70, every_s=2.0)) == (26, 52.0)
    assert containment(fates(*[True] * 100)) == (None, None)
    assert containment(fates(*[True, False, False, False] * 25)) == (None, None)


def test_wrongly_limited_is_who_is_refused_here_and_admitted_by_plain_gcra() -> None:
    ours = Run("ours", fates(True, False, False, True, malicious=False))
    plain = Run("plain GCRA", fates(True, True, False, False, malicious=False))
    (group,) = group_figures(ours, plain)
    assert (group.sent, group.refused, group.wrongly, group.callers_hurt) == (4, 2, 1, 1)
    assert group.share == 0.25


def test_an_attacker_who_is_refused_between_attacks_is_not_wronged() -> None:
    ours = Run("ours", fates(False, malicious=False, honest=False))
    plain = Run("plain GCRA", fates(True, malicious=False, honest=False))
    assert group_figures(ours, plain) == []


def test_the_committed_scores_are_numbers_at_the_error_rates_of_the_model() -> None:
    content = json.loads(PATH.read_text())
    assert set(content) == {"bundle", "points", "rows"}
    rows = [row for found in content["rows"].values() for row in found]
    assert all(len(row) == len(CATEGORIES) and all(0 <= score <= 1 for score in row) for row in rows)
    pool = ScorePool.load()
    injection = {name: values[Category.INJECTION] for name, values in pool.points.items()}
    assert pool.share_above("everyday", injection["fpr_1%"]) <= 0.015
    assert 0.01 <= pool.share_above("everyday", injection["fpr_5%"]) <= 0.06
    assert pool.share_above("hard", injection["fpr_5%"]) > pool.share_above("everyday", injection["fpr_5%"])
    assert pool.share_above("injection", injection["fpr_5%"]) > 0.6


def test_a_probe_stays_under_the_point_at_which_it_would_be_stopped() -> None:
    pool, draw = ScorePool.load(), Random(1)
    block, strict = (pool.points[name][Category.INJECTION] for name in ("fpr_1%", "fpr_5%"))
    assert all(strict <= pool.draw("below", draw)[Category.INJECTION] < block for _ in range(200))
    assert all(pool.draw("far below", draw)[Category.INJECTION] < strict for _ in range(200))


@pytest.fixture(scope="module")
def texts() -> Corpus:
    return corpus.random_corpus(7)


def test_a_text_sent_twice_has_one_embedding_and_variations_are_as_far_as_they_claim(texts: Corpus) -> None:
    def cosine(style: corpus.Style, seed: int) -> float:
        text = Text(5, 9, style, seed, "everyday", attack=False)
        original = texts.embedding(Text(5, 9, "same", 0, "everyday", attack=False), suspect=False)
        return float(original @ texts.embedding(text, suspect=False))

    assert cosine("same", 1) == pytest.approx(1, abs=1e-6)
    assert all(0.98 <= cosine("filled", seed) <= 1 for seed in range(50))
    assert all(0.79 <= cosine("own", seed) <= 0.96 for seed in range(50))
    assert min(cosine("paraphrase", seed) for seed in range(200)) < 0.5


def test_the_strings_of_a_template_differ_only_in_what_is_filled_in(texts: Corpus) -> None:
    one, two = (Text(5, seed, "filled", seed, "everyday", attack=False) for seed in (1, 2))
    assert texts.string(one) != texts.string(two)
    assert texts.string(one).split(" Reference ")[0] == texts.string(two).split(" Reference ")[0]


def figures_of(attack: str, admitted_here: int, recovered_s: float | None = 10.0) -> report.AttackResult:
    counts = {"ours": admitted_here, "plain GCRA": 1000, "fixed window": 1000}
    figures = AttackFigures(attack, 1, 1020, admitted_here, counts, 1 - admitted_here / 1000, 9, 4.0, recovered_s)
    return report.AttackResult(figures, (26.0,), (27.0,), (26.0,), {"k": [(26.0, 1.0), (27.0, 0.5)]}, {})


@pytest.mark.parametrize(
    ("admitted_here", "recovered_s", "missed"),
    [(49, 600.0, []), (51, 600.0, ["kept out"]), (0, 601.0, ["room back"]), (0, None, ["room back"])],
)
def test_a_missed_goal_is_said(admitted_here: int, recovered_s: float | None, missed: list[str]) -> None:
    results = Results([1], "b", [figures_of("spam", admitted_here, recovered_s)], [])
    failed = [check.what for check in report.checks(results) if not check.met]
    assert len(failed) == len(missed)
    assert all(word in what for word, what in zip(missed, failed, strict=True))
    assert ("Goals not met" in report.markdown(results)) == bool(missed)


def test_the_report_puts_its_tables_between_the_marks_of_a_page_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.put_into(page, report.write(tmp_path / "out", Results([1], "b", [figures_of("spam", 3)], [])))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| spam | 1020 |" in text
    assert (tmp_path / "out" / "limits.svg").read_text().startswith("<?xml")
    page.write_text("no marks")
    with pytest.raises(ValueError, match="marks"):
        report.put_into(page, "x")


def test_a_line_keeps_the_points_where_it_turns() -> None:
    series = [(float(at), factor) for at, factor in enumerate((1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0))]
    assert pictures.corners(series) == [(0, 1.0), (2, 1.0), (3, 0.5), (5, 0.5), (6, 1.0)]


def test_the_policy_under_test_is_the_one_that_ships() -> None:
    assert isinstance(POLICY, Policy)
    assert POLICY.tier("authenticated").adaptive.mode == "enforce"
