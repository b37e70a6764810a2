"""What others would do with the same traffic: a fixed window and plain GCRA; Flask-Limiter has a module of its own.

All enforce the same tiers: requests and tokens a minute. None counts unknown keys: a limiter keyed by credential sees
a new caller each time, who is refused for the key and never for the number of tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.traffic import Ask, Reply
from serving import admission, budget
from serving.policy import Policy
from serving.ratelimit.answers import to_admission
from serving.ratelimit.limits import Charge, Demand, Limit
from serving.ratelimit.storage import LocalStorage

WINDOW_US: Final = 60_000_000


class Gate(Protocol):
    """A limiter as the simulator drives it, in the order of time."""

    name: str

    async def ask(self, ask: Ask) -> Reply:
        """Admit or refuse one request at its time."""
        ...


class FixedWindow:
    """So many requests and tokens in each minute of the clock."""

    name = "fixed window"

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._used: dict[str, tuple[int, int, int]] = {}

    async def ask(self, ask: Ask) -> Reply:
        """As :meth:`Gate.ask`."""
        if not ask.known:
            return Reply(admitted=True)
        tier = self._policy.tier(ask.caller.tier).limits
        window = ask.at_us // WINDOW_US
        at, requests, tokens = self._used.get(ask.caller.principal, (window, 0, 0))
        if at != window:
            requests = tokens = 0
        allowed = requests < tier.requests_per_minute and tokens + ask.tokens <= tier.tokens_per_minute
        if allowed:
            self._used[ask.caller.principal] = (window, requests + 1, tokens + ask.tokens)
        return Reply(allowed)


class PlainGcra:
    """Our own limiter with the factor left at 1: the reference rule, which a test holds equal to the script."""

    name = "plain GCRA"

    def __init__(self, policy: Policy, clock: VirtualClock) -> None:
        self._policy = policy
        self._clock = clock
        self._storage = LocalStorage(clock.micros, max_principals=1_000_000)

    async def ask(self, ask: Ask) -> Reply:
        """As :meth:`Gate.ask`."""
        if not ask.known:
            return Reply(admitted=True)
        self._clock.advance_to(ask.at_us)
        demand = Demand(charges(admission.limits(self._policy.tier(ask.caller.tier)), ask.tokens))
        granted = to_admission(demand, await self._storage.hit(ask.caller.principal, demand))
        return Reply(granted.allowed, granted.retry_after_s)


def charges(found: Sequence[Limit], tokens: int) -> tuple[Charge, ...]:
    """What one request costs on a tier's limits."""
    costs = costs_of(tokens)
    return tuple(Charge(limit, costs[limit.name]) for limit in found)


def costs_of(tokens: int) -> dict[str, float]:
    """Units by limit name, for a text of so many tokens; nothing here has a price."""
    return {admission.REQUESTS: 1, admission.TOKENS: tokens, **budget.costs(tokens, 0.0)}
