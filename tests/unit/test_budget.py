"""Daily budgets in tokens and in money: what a request costs, and what the policy file makes of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from serving import admission
from serving.budget import DAILY_MONEY, DAILY_TOKENS, NO_BUDGET, DailyBudget, costs
from serving.metrics import Metrics
from serving.policy import Policy, load_policy
from serving.ratelimit.answers import Reason
from serving.ratelimit.headers import headers
from serving.ratelimit.limiter import RateLimiter
from serving.ratelimit.limits import Demand, Weighed
from serving.ratelimit.storage import LocalStorage
from serving.redis_connection import RedisDown

POLICY = Path(__file__).parents[2] / "serving" / "policy.yaml"
HOUR_US = 3_600_000_000


@pytest.fixture
def priced(tmp_path: Path) -> Policy:
    """The committed policy in euros: 0.20 for 1,000 tokens in `default`, 5 a day for an authenticated caller."""
    text = POLICY.read_text()
    text = "currency: EUR\n" + text.replace("{tokens: 40_000_000}", "{tokens: 40_000_000, money: 25}")
    text = text.replace("  default:\n", "  default:\n    price_per_1k_tokens: 0.2\n")
    (tmp_path / "policy.yaml").write_text(text)
    return load_policy(tmp_path / "policy.yaml")


def test_the_worked_example_of_the_documentation() -> None:
    assert costs(2_500, 0.2) == {DAILY_TOKENS: 2_500, DAILY_MONEY: 500}  # thousandths: half a euro
    (money,) = DailyBudget(money=5, currency="EUR").limits()
    assert (money.burst, money.unit, money.interval_us) == (5_000, "milli-eur", 17_280_000)
    now_us = 0
    limiter = RateLimiter(LocalStorage(lambda: now_us), LocalStorage(lambda: now_us))

    def spend(euros: float) -> tuple[bool, int]:
        granted = asyncio.run(limiter.hit("p", [money], {DAILY_MONEY: euros * 1000}))
        return granted.allowed, granted.retry_after_s

    assert spend(4.0) == (True, 0)
    assert spend(2.0) == (False, 4 * 3_600 + 48 * 60)  # a euro is missing, and a euro comes back in 4.8 hours
    now_us = 12 * HOUR_US
    assert spend(3.5) == (True, 0)  # 1.00 was left, 2.50 came back
    assert spend(0.01)[0] is False


def test_a_caller_without_a_budget_is_charged_on_no_budget() -> None:
    assert NO_BUDGET.limits() == ()
    tier = load_policy().tier("internal")
    assert [limit.name for limit in admission.limits(tier)] == ["requests", "tokens"]


def test_the_policy_file_gives_budgets_and_prices(priced: Policy) -> None:
    tier = priced.tier("authenticated")
    assert tier.daily_budget == DailyBudget(40_000_000, 25, "EUR")
    assert [limit.name for limit in admission.limits(tier)] == ["requests", "tokens", "daily-tokens", "daily-money"]
    assert priced.rule_sets["default"].price_per_1k_tokens == 0.2
    assert priced.rule_sets["strict"].price_per_1k_tokens == 0
    assert priced.version != load_policy().version


def test_a_text_costs_the_price_of_its_policy() -> None:
    assert admission.costs(["x" * 4_000], 0.2)[DAILY_MONEY] == pytest.approx(200)
    assert admission.costs(["x" * 4_000])[DAILY_MONEY] == 0


async def test_all_limits_of_a_request_are_one_decision(priced: Policy) -> None:
    """A text that the money does not cover is charged on nothing else either."""
    shared = LocalStorage(lambda: 0)
    limiter = RateLimiter(shared, LocalStorage(lambda: 0))
    limits = admission.limits(priced.tier("authenticated"))
    most = {"requests": 1, "tokens": 10, DAILY_TOKENS: 10, DAILY_MONEY: 24_000}
    assert (await limiter.hit("p", limits, most)).allowed
    refused = await limiter.hit("p", limits, most)
    assert (refused.reason, refused.violated) == (Reason.QUOTA, ("daily-money",))
    room = {state.name: state.remaining for state in refused.states}
    assert room == {"requests": 19, "tokens": 99_990, "daily-tokens": 39_999_990, "daily-money": 1_000}
    assert '"daily-money";q=25000;qu="milli-eur";w=86400' in headers(refused)["RateLimit-Policy"]
    assert '"daily-money";r=1000;t=' in headers(refused)["RateLimit"]


def test_the_cost_of_a_query_is_counted_by_policy() -> None:
    metrics = Metrics()
    admission.count_cost(metrics, "default", admission.costs(["x" * 4_000], 0.2))
    admission.count_cost(metrics, "strict", admission.costs(["x" * 400]))

    def counted(name: str, policy: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"policy": policy})

    assert counted("weir_query_tokens_sum", "default") == 1_000
    assert counted("weir_query_cost_sum", "default") == pytest.approx(0.2)
    assert counted("weir_query_tokens_sum", "strict") == 100
    assert counted("weir_query_cost_count", "strict") is None


async def test_without_redis_a_replica_grants_its_share_of_a_budget() -> None:
    storage = LocalStorage(lambda: 0)
    limiter = RateLimiter(_Away(lambda: 0), storage, replicas=4)
    limits = DailyBudget(tokens=1_000).limits()
    granted = [(await limiter.hit("p", limits, {DAILY_TOKENS: 50})).allowed for _ in range(20)]
    assert sum(granted) == 5


async def test_room_is_made_of_callers_who_spent_little_of_their_budget() -> None:
    storage = LocalStorage(lambda: 0, max_principals=2)
    limiter = RateLimiter(storage, LocalStorage(lambda: 0))
    limits = DailyBudget(tokens=1_000).limits()
    assert (await limiter.hit("big", limits, {DAILY_TOKENS: 900})).allowed
    assert (await limiter.hit("small", limits, {DAILY_TOKENS: 40})).allowed
    assert (await limiter.hit("new", limits, {DAILY_TOKENS: 40})).allowed
    assert not (await limiter.hit("big", limits, {DAILY_TOKENS: 900})).allowed


class _Away(LocalStorage):
    async def hit(self, principal: str, demand: Demand) -> Weighed:
        raise RedisDown("down")
