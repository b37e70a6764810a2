"""From a tier to limits, from texts to costs, and from a refusal to its problem."""

from __future__ import annotations

import pytest

from serving import admission
from serving.anomaly.standing import Adaptation, Price
from serving.errors import AbnormalUsage, Banned, LimitsUnavailable, Problem, QuotaExceeded, TooLarge
from serving.metrics import Metrics
from serving.policy import load_policy
from serving.ratelimit.answers import Admission, LimitState, Reason, to_admission
from serving.ratelimit.limits import Charge, Demand, Limit, weigh

TIER = load_policy().tier("authenticated")
USED_UP = LimitState("requests", "requests", 20, 24, False, 0, 1_500_000, 1_500_000, 24_000_000)


def refusal(granted: Admission, metrics: Metrics | None = None) -> Problem:
    with pytest.raises(Problem) as caught:
        admission.require(granted, TIER, metrics or Metrics())
    return caught.value


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [(["a"], 1), (["abcd"], 1), (["abcde"], 2), (["a", "a"], 2), (["é" * 4], 2), (["\U0001f600"], 1)],
)
def test_each_text_is_one_request_and_four_bytes_are_a_token(texts: list[str], tokens: int) -> None:
    costs = admission.costs(texts)
    assert (costs["requests"], costs["tokens"]) == (len(texts), tokens)


def test_the_longest_request_of_each_tier_can_be_paid_for() -> None:
    for tier in load_policy().tiers.values():
        requests, tokens, *_ = admission.limits(tier)
        assert tokens.burst >= admission.costs(["\U0001f600" * tier.limits.max_characters])["tokens"]
        assert requests.burst >= tier.limits.max_texts


def test_an_admitted_request_goes_on() -> None:
    admission.require(Admission(allowed=True), TIER, Metrics())


def test_a_used_up_quota_says_which_and_when_to_come_back() -> None:
    metrics = Metrics()
    problem = refusal(Admission(False, Reason.QUOTA, (USED_UP,)), metrics)
    assert isinstance(problem, QuotaExceeded)
    assert problem.headers["Retry-After"] == "2"
    assert problem.extra == {"violated-policies": ["requests"]}
    labels = {"tier": "authenticated", "limit": "requests"}
    assert metrics.registry.get_sample_value("weir_limited_total", labels) == 1


def test_under_a_lowered_limit_the_refusal_says_why() -> None:
    assert isinstance(refusal(Admission(False, Reason.ABNORMAL, (USED_UP,), factor=0.5)), AbnormalUsage)


def test_a_ban_is_forbidden_and_nothing_to_wait_for() -> None:
    problem = refusal(Admission(False, Reason.BANNED, (USED_UP,)))
    assert isinstance(problem, Banned)
    assert not problem.headers


def test_without_a_limiter_nothing_is_judged() -> None:
    assert isinstance(refusal(Admission(False, Reason.UNAVAILABLE, degraded=True)), LimitsUnavailable)


def test_what_no_waiting_can_pay_for_is_too_large() -> None:
    problem = refusal(Admission(False, Reason.TOO_COSTLY))
    assert isinstance(problem, TooLarge)
    assert "Retry-After" not in problem.headers


def test_a_used_up_budget_is_no_unusual_use_whatever_the_factor() -> None:
    demand = Demand(
        (Charge(Limit("requests", 1, 10), 1), Charge(Limit("daily-tokens", 1, 10, "tokens", adaptive=False), 5)),
        adaptation=Adaptation(),
    )
    lowered = Price(0.5, lowered=True, longest_debt_us=540_000_000)
    spent, both = weigh(demand, [0, 10_000_000], 0, lowered), weigh(demand, [10_000_000, 10_000_000], 0, lowered)
    assert to_admission(demand, spent).reason is Reason.QUOTA
    assert to_admission(demand, both).reason is Reason.ABNORMAL
