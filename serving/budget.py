"""What a caller may spend in a day, in tokens and in money, as two more limits of the same atomic call.

A budget is GCRA with a day's window: all of it at once, and what was spent comes back evenly over 24 hours. So any n
days together hold at most n + 1 budgets, and nobody waits for a midnight. docs/rate-limiting.md compares it, with
numbers, to a calendar day and to a sliding window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from serving.ratelimit.limits import Limit

DAILY_TOKENS: Final = "daily-tokens"
DAILY_MONEY: Final = "daily-money"
DAY_S: Final = 86_400
# Money is counted in thousandths: then a price for 1,000 tokens is the price of one token in this unit.
UNITS_OF_MONEY: Final = 1000


@dataclass(frozen=True, slots=True)
class DailyBudget:
    """`tokens` and `money` (in `currency`) that one principal may spend in a day; None: any amount."""

    tokens: int | None = None
    money: float | None = None
    currency: str = "USD"

    def limits(self) -> tuple[Limit, ...]:
        """The limits that count it; none for a budget without an amount."""
        limits = []
        if self.tokens is not None:
            limits.append(_daily(DAILY_TOKENS, self.tokens, "tokens"))
        if self.money is not None:
            thousandths = round(self.money * UNITS_OF_MONEY)
            limits.append(_daily(DAILY_MONEY, thousandths, f"milli-{self.currency.lower()}"))
        return tuple(limits)


NO_BUDGET: Final = DailyBudget()


def costs(tokens: int, price_per_1k_tokens: float) -> dict[str, float]:
    """What tokens cost on each budget, in the budget's units."""
    return {DAILY_TOKENS: tokens, DAILY_MONEY: tokens * price_per_1k_tokens}


def _daily(name: str, amount: int, unit: str) -> Limit:
    return Limit(name, amount / DAY_S, amount, unit, adaptive=False)
