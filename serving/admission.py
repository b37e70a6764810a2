"""Turns a tier into limits and a text into costs, and a refusal into its problem."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from serving import budget
from serving.budget import DailyBudget
from serving.errors import AbnormalUsage, LimitsUnavailable, QuotaExceeded, TooLarge
from serving.metrics import Metrics
from serving.policy import Tier
from serving.ratelimit.headers import headers as rate_headers
from serving.ratelimit.limits import Admission, Limit, Reason

REQUESTS = "requests"
TOKENS = "tokens"


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


def costs(texts: Sequence[str], price_per_1k_tokens: float = 0.0) -> dict[str, float]:
    """What a request costs by limit: each text is one request; a token stands for 4 bytes of UTF-8, rounded up.

    Counting bytes needs no tokeniser, so the call to Redis can leave before the text is tokenised.
    """
    tokens = sum(-(-_utf8_length(text) // 4) for text in texts)
    return {REQUESTS: len(texts), TOKENS: tokens, **budget.costs(tokens, price_per_1k_tokens)}


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def count_cost(metrics: Metrics, policy: str, costs: Mapping[str, float]) -> None:
    """Count what one judged request cost under the policy of that name."""
    metrics.query_tokens.labels(policy).observe(costs[TOKENS])
    if money := costs[budget.DAILY_MONEY] / budget.UNITS_OF_MONEY:
        metrics.query_cost.labels(policy).observe(money)


def headers(granted: Admission) -> dict[str, str]:
    """The rate-limit headers of an answer."""
    return rate_headers(granted)


def require(granted: Admission, tier: Tier, metrics: Metrics) -> None:
    """Return if the request is admitted; else raise the Problem that says why not."""
    if granted.allowed:
        return
    fields = headers(granted)
    if granted.reason is Reason.TOO_COSTLY:
        metrics.limited.labels(tier.name, "too-costly").inc()
        raise TooLarge("The request costs more than the tier's whole burst, so waiting would not help.", headers=fields)
    if granted.reason is Reason.UNAVAILABLE:
        metrics.failures.labels("limits").inc()
        raise LimitsUnavailable(headers=fields)
    for name in granted.violated:
        metrics.limited.labels(tier.name, name).inc()
    # A budget is not lowered, so it is never unusual use that exhausts it.
    lowered = granted.factor < 1 and not budget.DAILY.issuperset(granted.violated)
    problem = AbnormalUsage if lowered else QuotaExceeded
    waiting = f"Try again in {granted.retry_after_s} s." if granted.retry_after_s else None
    raise problem(waiting, headers=fields, extra={"violated-policies": list(granted.violated)})
