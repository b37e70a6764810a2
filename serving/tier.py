"""What a class of callers gets: how much it may ask, under which rules, and how its limits learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from serving.anomaly.standing import USUAL, Adaptive
from serving.budget import NO_BUDGET, DailyBudget
from serving.policy_file import TierFile


class PolicyNotAllowed(Exception):  # noqa: N818  what the caller did, not what broke
    """The caller named a policy that its tier may not use (or that does not exist, which it need not know)."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"this tier may use the policies {', '.join(allowed)}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one principal of a tier may ask.

    `max_characters` is that of one request, all its texts together, so that a request within it costs at most
    `token_burst` (a token of cost is 4 bytes of UTF-8) and can always be paid for some time.
    """

    requests_per_minute: int
    burst: int
    tokens_per_minute: int
    token_burst: int
    concurrent: int
    max_characters: int
    max_texts: int


@dataclass(frozen=True, slots=True)
class Tier:
    """What a class of callers gets. `policy` names its usual rule set; `allowed_policies` always holds it."""

    name: str
    limits: Limits
    on_redis_down: Literal["local", "deny"]
    log_text: str
    policy: str
    allowed_policies: tuple[str, ...]
    daily_budget: DailyBudget = NO_BUDGET
    adaptive: Adaptive = USUAL

    def choose(self, requested: str | None) -> str:
        """The rule set for a request that names one, or none. Raises :class:`PolicyNotAllowed`."""
        name = self.policy if requested is None else requested
        if name not in self.allowed_policies:
            raise PolicyNotAllowed(self.allowed_policies)
        return name


def tier_of(name: str, written: TierFile, currency: str) -> Tier:
    """The tier as a policy file has it; `currency` is the file's."""
    return Tier(
        name=name,
        limits=Limits(
            requests_per_minute=written.requests_per_minute,
            burst=written.burst,
            tokens_per_minute=written.tokens_per_minute,
            token_burst=written.token_burst,
            concurrent=written.concurrent,
            max_characters=written.max_characters,
            max_texts=written.max_texts,
        ),
        on_redis_down=written.on_redis_down,
        log_text=written.log_text,
        policy=written.policy,
        allowed_policies=tuple(dict.fromkeys((written.policy, *written.allowed_policies))),
        daily_budget=DailyBudget(written.daily_budget.tokens, written.daily_budget.money, currency),
        adaptive=written.adaptive.knobs(),
    )
