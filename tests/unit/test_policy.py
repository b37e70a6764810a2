"""What the policy makes of a prediction, and whether its file says what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import CATEGORIES, Action, Category, Coverage, Direction, Prediction, Span
from serving.anomaly.standing import USUAL
from serving.policy import BoundPolicy, PolicyError, _main, bind, load_policy
from serving.policy_file import false_positive_percent
from serving.tier import PolicyNotAllowed

GALLERY = Path(__file__).parents[1] / "golden" / "policies"
POINTS = {"fpr_0.1%": 0.9, "fpr_1%": 0.5, "fpr_5%": 0.2}
ALL_SEEN = Coverage(tokens=10, scanned=10, windows=1)


@dataclass(frozen=True)
class Facts:
    """What of a manifest the policy needs."""

    version: str
    operating_points: Mapping[str, Mapping[Category, float]]


MODEL = Facts("2026-01-01", {point: dict.fromkeys(CATEGORIES, threshold) for point, threshold in POINTS.items()})


def prediction(coverage: Coverage = ALL_SEEN, **scores: float) -> Prediction:
    all_scores = {category: scores.get(category.replace("-", "_"), 0.0) for category in CATEGORIES}
    return Prediction(
        scores=all_scores,
        coverage=coverage,
        spans={category: Span(2, 40) for category in CATEGORIES},
        embedding=np.zeros(4, dtype=np.float32),
        changes={},
        model_version=MODEL.version,
    )


@pytest.fixture(scope="module")
def policy() -> BoundPolicy:
    return bind(load_policy(), MODEL)


def rewritten(tmp_path: Path, old: str, new: str) -> Path:
    text = (GALLERY.parents[2] / "serving" / "policy.yaml").read_text()
    assert old in text
    path = tmp_path / "policy.yaml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("path", sorted(GALLERY.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_policy_is_refused_with_line_field_and_reason(path: Path) -> None:
    expected = re.findall(r"^# expect (.*)$", path.read_text(), re.MULTILINE)
    with pytest.raises(PolicyError) as refused:
        load_policy(path)
    assert [problem.removeprefix(str(path)) for problem in refused.value.problems] == expected


def test_a_missing_policy_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent.yaml: cannot be read: No such file"):
        load_policy(tmp_path / "absent.yaml")


def test_a_policy_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="it is not UTF-8"):
        load_policy(path)


def test_the_committed_policy_gives_the_promised_rates() -> None:
    tiers = load_policy().tiers
    assert {name: tier.limits.requests_per_minute for name, tier in tiers.items()} == {
        "anonymous": 5,
        "authenticated": 50,
        "internal": 500,
    }
    assert tiers["anonymous"].on_redis_down == "deny"
    assert {tier.log_text for tier in tiers.values()} == {"none"}


def test_a_score_at_the_threshold_is_found(policy: BoundPolicy) -> None:
    tier = policy.policy.tier("anonymous")
    decision = policy.decide(prediction(injection=0.5), tier, Direction.INPUT)
    assert decision.action is Action.BLOCK
    assert decision.categories[Category.INJECTION]
    assert decision.block_message == "This request was stopped by a safety policy."
    (reason,) = decision.reasons
    assert (reason.kind, reason.category, reason.score) == ("classifier", "injection", 0.5)
    assert (reason.start, reason.end) == (2, 40)
    assert reason.detail == "score at or above fpr_1% in policy default"


def test_scores_below_every_threshold_are_allowed_without_a_reason(policy: BoundPolicy) -> None:
    decision = policy.decide(prediction(injection=0.4999), policy.policy.tier("anonymous"), Direction.INPUT)
    assert decision.action is Action.ALLOW
    assert not decision.flagged
    assert decision.reasons == ()
    assert decision.block_message is None


def test_a_higher_level_of_a_category_takes_the_stronger_action(policy: BoundPolicy) -> None:
    tier = policy.policy.tier("internal")
    flagged = policy.decide(prediction(hate=0.3), tier, Direction.OUTPUT, "strict")
    blocked = policy.decide(prediction(hate=0.6), tier, Direction.OUTPUT, "strict")
    assert (flagged.action, blocked.action) == (Action.FLAG, Action.BLOCK)
    assert blocked.reasons[0].detail == "score at or above fpr_1% in policy strict"


def test_the_strongest_action_of_all_categories_wins_and_all_are_named(policy: BoundPolicy) -> None:
    decision = policy.decide(prediction(hate=0.6, injection=0.6), policy.policy.tier("internal"), Direction.INPUT)
    assert decision.action is Action.BLOCK
    assert {reason.category for reason in decision.reasons} == {"injection", "hate"}


def test_the_directions_have_their_own_rules(policy: BoundPolicy) -> None:
    tier = policy.policy.tier("anonymous")
    found = prediction(injection=0.6)
    assert policy.decide(found, tier, Direction.INPUT).action is Action.BLOCK
    assert policy.decide(found, tier, Direction.OUTPUT).action is Action.FLAG


def test_a_tier_may_use_only_its_own_policies(policy: BoundPolicy) -> None:
    strict = policy.decide(prediction(hate=0.6), policy.policy.tier("internal"), Direction.INPUT, "strict")
    assert (strict.action, strict.policy) == (Action.BLOCK, "strict")
    for name in ("strict", "no-such-policy"):
        with pytest.raises(PolicyNotAllowed, match="may use the policies default"):
            policy.decide(prediction(), policy.policy.tier("anonymous"), Direction.INPUT, name)


@pytest.mark.parametrize("direction", Direction)
def test_a_text_that_was_not_read_to_its_end_is_never_silently_clean(policy: BoundPolicy, direction: Direction) -> None:
    half_seen = prediction(Coverage(tokens=1000, scanned=250, windows=2))
    decision = policy.decide(half_seen, policy.policy.tier("anonymous"), direction)
    assert decision.action is Action.FLAG
    (reason,) = decision.reasons
    assert (reason.kind, reason.category, reason.score) == ("rule", "coverage", 0.75)
    assert reason.detail == "250 of 1000 tokens were scanned"


@pytest.mark.parametrize("direction", Direction)
def test_a_text_that_cannot_be_read_well_is_never_silently_clean(policy: BoundPolicy, direction: Direction) -> None:
    foreign = prediction(Coverage(40, 40, 1, readable=0.25, foreign=30, unread_scripts=("thai", "han")))
    decision = policy.decide(foreign, policy.policy.tier("anonymous"), direction)
    assert decision.action is Action.FLAG
    (reason,) = decision.reasons
    assert (reason.kind, reason.category, reason.score) == ("rule", "unreadable", 0.75)
    assert reason.detail == "the model can read 25% of the letters, not thai, han"


def test_what_was_not_read_may_be_blocked(tmp_path: Path) -> None:
    path = rewritten(tmp_path, "  default:\n    block_message", "  default:\n    unread: block\n    block_message")
    bound = bind(load_policy(path), MODEL)
    tier = bound.policy.tier("anonymous")
    foreign = prediction(Coverage(40, 40, 1, readable=0.25, foreign=30, unread_scripts=("thai",)))
    half_seen = prediction(Coverage(tokens=1000, scanned=250, windows=2))
    assert bound.decide(foreign, tier, Direction.INPUT).action is Action.BLOCK
    assert (
        bound.decide(half_seen, tier, Direction.INPUT).block_message == "This request was stopped by a safety policy."
    )
    assert bound.decide(prediction(), tier, Direction.INPUT).action is Action.ALLOW


def test_a_score_that_is_not_a_number_is_not_allowed_through(policy: BoundPolicy) -> None:
    broken = prediction(injection=math.nan)
    assert policy.decide(broken, policy.policy.tier("anonymous"), Direction.INPUT).action is Action.BLOCK


def test_a_redaction_passes_on_nothing_of_the_text(tmp_path: Path) -> None:
    path = rewritten(tmp_path, "injection: {block: fpr_1%}", "injection: {redact: fpr_1%}")
    bound = bind(load_policy(path), MODEL)
    tier = bound.policy.tier("anonymous")
    redacted = bound.decide(prediction(injection=0.7), tier, Direction.INPUT)
    assert (redacted.action, redacted.redacted_text) == (Action.REDACT, "[redacted]")
    assert bound.decide(prediction(), tier, Direction.INPUT).redacted_text is None


@given(
    scores=st.fixed_dictionaries({category.replace("-", "_"): st.floats(0, 1) for category in CATEGORIES}),
    direction=st.sampled_from(Direction),
    name=st.sampled_from(["default", "strict", "monitor"]),
)
def test_a_higher_score_never_softens_the_decision(scores: dict[str, float], direction: Direction, name: str) -> None:
    bound = bind(load_policy(), MODEL)
    tier = bound.policy.tier("internal")
    decision = bound.decide(prediction(**scores), tier, direction, name)
    worse = bound.decide(
        prediction(**{key: min(1, score + 0.3) for key, score in scores.items()}), tier, direction, name
    )
    assert worse.action.severity >= decision.action.severity
    assert decision.flagged == bool(decision.reasons)


def test_binding_names_every_rule_whose_operating_point_the_model_lacks() -> None:
    poor = Facts("poor", {"fpr_1%": dict.fromkeys(CATEGORIES, 0.5), "fpr_5%": {Category.INJECTION: math.inf}})
    with pytest.raises(PolicyError) as refused:
        bind(load_policy(), poor)
    problems = refused.value.problems
    assert (
        "policies.default.output.violence: model poor has no operating point fpr_0.1%; it has fpr_1%, fpr_5%"
        in problems
    )
    assert "policies.strict.input.hate: model poor has no threshold for hate at fpr_5%" in problems
    assert "policies.strict.input.injection: the threshold of model poor at fpr_5% is not a number" in problems


def test_the_version_follows_the_content_and_not_the_comments(tmp_path: Path) -> None:
    version = load_policy().version
    assert load_policy(rewritten(tmp_path, "# Our own gateways", "# Some other words")).version == version
    assert load_policy(rewritten(tmp_path, "requests_per_minute: 500", "requests_per_minute: 501")).version != version


@pytest.mark.parametrize(("point", "percent"), [("fpr_0.1%", 0.1), ("fpr_5%", 5.0)])
def test_an_operating_point_names_its_rate(point: str, percent: float) -> None:
    assert false_positive_percent(point) == percent


def test_check_says_ok_and_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["check", "--bundle", "none"]) == 0
    assert capsys.readouterr().out == f"ok: policy {load_policy().version}\n"


def test_check_fails_with_every_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    path = GALLERY / "several_mistakes.yaml"
    assert _main(["check", str(path), "--bundle", "none"]) == 1
    assert capsys.readouterr().err.count(str(path)) == 3


def test_check_fails_when_the_bundle_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["check", "--bundle", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err


@pytest.mark.parametrize(("written", "mode"), [("off", "off"), ("shadow", "shadow"), ("enforce", "enforce")])
def test_a_tier_says_whether_its_limits_learn(tmp_path: Path, written: str, mode: str) -> None:
    text = (GALLERY.parents[2] / "serving" / "policy.yaml").read_text()
    path = tmp_path / "policy.yaml"
    line = "    on_redis_down: deny\n"
    path.write_text(text.replace(line, f"{line}    adaptive: {{mode: {written}}}\n"))
    policy = load_policy(path)
    assert policy.tier("anonymous").adaptive == replace(USUAL, mode=mode)
    assert policy.tier("internal").adaptive == USUAL
