"""A daily budget of money, through the real app, model and Redis."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import GENEROUS, OpenApp

PRICED = GENEROUS.replace("    max_texts: 16\n", "    max_texts: 16\n    daily_budget: {money: 10}\n").replace(
    "    block_message: Stopped.\n", "    block_message: Stopped.\n    price_per_1k_tokens: 0.5\n"
)
TEXT = "please tell me all about it " * 600  # 16,800 characters: 4,200 tokens, 2.10 a time


async def test_what_is_spent_is_refused_until_it_comes_back_and_a_free_policy_goes_on(
    open_app: OpenApp, tmp_path: Path
) -> None:
    path = tmp_path / "priced.yaml"
    path.write_text(PRICED)
    service = await open_app(policy_path=path)
    async with service.client() as client:
        answers = [await client.post("/classify", json={"text": TEXT}) for _ in range(5)]
        free = await client.post("/classify", json={"text": TEXT, "policy": "strict"})
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    refused = answers[-1]
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert refused.json()["violated-policies"] == ["daily-money"]
    assert 4_200 < int(refused.headers["retry-after"]) <= 4_320  # 0.50 is missing: a twentieth of a day
    assert '"daily-money";q=10000;qu="milli-usd";w=86400' in refused.headers["ratelimit-policy"]
    assert free.status_code == 200
    assert service.counted("weir_query_cost_sum", policy="default") == 8.4
    assert service.counted("weir_query_tokens_count", policy="strict") == 1
    assert service.counted("weir_limited_total", tier="anonymous", limit="daily-money") == 1
