"""What a tier lets in: its limits, what a text costs on them, and the problem that a refusal is answered with."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from serving import budget
from serving.anomaly.standing import Knobs
from serving.budget import DailyBudget
from serving.errors import (
    AbnormalUsage,
    Banned,
    Forbidden,
    InvalidRequest,
    LimitsUnavailable,
    QuotaExceeded,
    TooLarge,
)
from serving.metrics import Metrics
from serving.policy import Policy
from serving.ratelimit.answers import Admission, Reason
from serving.ratelimit.headers import headers as rate_headers
from serving.ratelimit.limits import Limit
from serving.tier import PolicyNotAllowed, Tier

REQUESTS = "requests"
TOKENS = "tokens"
REFUSED_KEYS = "refused-keys"


@functools.lru_cache(maxsize=64)
def _limits(
    per_minute: int, burst: int, tokens_per_minute: int, token_burst: int, daily: DailyBudget
) -> tuple[Limit, ...]:
    return (
        Limit(REQUESTS, per_minute / 60, burst),
        Limit(TOKENS, tokens_per_minute / 60, token_burst, unit="tokens"),
        *daily.limits(),
    )


def limits(tier: Tier) -> tuple[Limit, ...]:
    """The limits that one request of this tier is charged on."""
    return _limits(
        tier.limits.requests_per_minute,
        tier.limits.burst,
        tier.limits.tokens_per_minute,
        tier.limits.token_burst,
        tier.daily_budget,
    )


def knobs(tier: Tier) -> Knobs:
    """What the anomaly rule must know of a tier."""
    return Knobs(
        tier.adaptive,
        requests_per_minute=tier.limits.requests_per_minute,
        tokens_per_minute=tier.limits.tokens_per_minute,
        largest_tokens=tier.limits.max_characters / 4,
    )


def refused_keys(tier: Tier) -> tuple[Limit, ...]:
    """The limit of an address on keys that open nothing: as many as it may send requests without a key."""
    return (Limit(REFUSED_KEYS, tier.limits.requests_per_minute / 60, tier.limits.burst),)


def costs(texts: Sequence[str], price_per_1k_tokens: float = 0.0) -> dict[str, float]:
    """What a request costs by limit: each text is one request; a token stands for 4 bytes of UTF-8, rounded up.

    Counting bytes needs no tokeniser, so the call to Redis can leave before the text is tokenised.
    """
    tokens = sum(map(tokens_of, texts))
    return {REQUESTS: len(texts), TOKENS: tokens, **budget.costs(tokens, price_per_1k_tokens)}


def tokens_of(text: str) -> int:
    """What one text costs in tokens."""
    return -(-_utf8_length(text) // 4)


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def count_cost(metrics: Metrics, policy: str, costs: Mapping[str, float]) -> None:
    """Count what one judged request cost under the policy of that name."""
    metrics.query_tokens.labels(policy).observe(costs[TOKENS])
    if money := costs[budget.DAILY_MONEY] / budget.UNITS_OF_MONEY:
        metrics.query_cost.labels(policy).observe(money)


def chosen_policy(policy: Policy, tier: Tier, requested: str | None) -> str:
    """The rule set of a request that names one, or none. Raises Forbidden or InvalidRequest."""
    try:
        return tier.choose(requested)
    except PolicyNotAllowed as error:
        detail = f"this tier may use: {', '.join(error.allowed)}"
        if requested in policy.rule_sets:
            raise Forbidden(f"The policy is not for everyone; {detail}.") from None
        problem = {"field": "policy", "rule": "unknown_policy", "detail": detail}
        raise InvalidRequest(extra={"errors": [problem]}) from None


def check_size(tier: Tier, texts: Sequence[str]) -> None:
    """Raise InvalidRequest for too many texts, TooLarge for too many characters."""
    limits = tier.limits
    if len(texts) > limits.max_texts:
        problem = {
            "field": "texts",
            "rule": "too_many_texts",
            "detail": f"the tier {tier.name} may send {limits.max_texts} texts in one request",
        }
        raise InvalidRequest(extra={"errors": [problem]})
    if sum(map(len, texts)) > limits.max_characters:
        raise TooLarge(f"The tier {tier.name} may send {limits.max_characters} characters in one request.")


def headers(granted: Admission) -> dict[str, str]:
    """The rate-limit headers of an answer."""
    return rate_headers(granted)


def require(granted: Admission, tier: Tier, metrics: Metrics) -> None:
    """Return if the request is admitted; else raise the Problem that says why not."""
    if granted.allowed:
        if granted.shadowed:
            metrics.contained.labels(tier.name, "shadow").inc()
        return
    fields = headers(granted)
    if granted.reason is Reason.TOO_COSTLY:
        metrics.limited.labels(tier.name, "too-costly").inc()
        raise TooLarge("The request costs more than the tier's whole burst, so waiting would not help.", headers=fields)
    if granted.reason is Reason.UNAVAILABLE:
        metrics.failures.labels("limits").inc()
        raise LimitsUnavailable(headers=fields)
    if granted.reason is Reason.BANNED:
        raise Banned
    if granted.reason is Reason.ABNORMAL:
        metrics.contained.labels(tier.name, "enforce").inc()
    for name in granted.violated:
        metrics.limited.labels(tier.name, name).inc()
    problem = AbnormalUsage if granted.reason is Reason.ABNORMAL else QuotaExceeded
    waiting = f"Try again in {granted.retry_after_s} s." if granted.retry_after_s else None
    raise problem(waiting, headers=fields, extra={"violated-policies": list(granted.violated)})
