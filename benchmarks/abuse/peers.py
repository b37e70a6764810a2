"""What others would do with the same traffic: a fixed window, plain GCRA, and Flask-Limiter.

All enforce the same tiers: requests and tokens a minute. None counts unknown keys: a limiter keyed by credential sees
a new caller each time, who is refused for the key and never for the number of tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import flask
import flask_limiter
import limits.storage.memory
import limits.strategies

from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.traffic import Ask, Reply
from serving import admission
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


class FlaskLimiter:
    """A Flask application with Flask-Limiter's moving windows, one for requests and one for tokens, by caller."""

    name = "Flask-Limiter"

    def __init__(self, policy: Policy, clock: VirtualClock) -> None:
        # These modules ask `time.time`, and they alone get the virtual one.
        for module in (limits.storage.memory, limits.strategies):
            module.time = _Time(clock)  # type: ignore[attr-defined]
        self._clock = clock
        self._policy = policy
        self._asked: Ask | None = None
        self._app = flask.Flask(__name__)
        limiter = flask_limiter.Limiter(
            self._who, app=self._app, strategy="moving-window", storage_uri="memory://", headers_enabled=False
        )
        tokens = limiter.limit(self._tokens_limit, cost=self._tokens, override_defaults=False)
        requests = limiter.limit(self._requests_limit, override_defaults=False)
        self._app.add_url_rule("/", view_func=requests(tokens(_answer)))

    async def ask(self, ask: Ask) -> Reply:
        """As :meth:`Gate.ask`."""
        if not ask.known:
            return Reply(admitted=True)
        self._clock.advance_to(ask.at_us)
        self._asked = ask
        with self._app.test_request_context("/"):
            return Reply(self._app.full_dispatch_request().status_code == 200)

    def _current(self) -> Ask:
        if self._asked is None:
            raise RuntimeError("Flask-Limiter asked outside a request")
        return self._asked

    def _who(self) -> str:
        return self._current().caller.principal

    def _tokens(self) -> int:
        return max(self._current().tokens, 1)

    def _tokens_limit(self) -> str:
        return f"{self._policy.tier(self._current().caller.tier).limits.tokens_per_minute} per minute"

    def _requests_limit(self) -> str:
        return f"{self._policy.tier(self._current().caller.tier).limits.requests_per_minute} per minute"


def charges(found: Sequence[Limit], tokens: int) -> tuple[Charge, ...]:
    """What one request costs on a tier's limits."""
    costs = {admission.TOKENS: float(tokens)}
    return tuple(Charge(limit, costs.get(limit.name, 1.0)) for limit in found)


class _Time:
    """Stands in for the module `time`."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def time(self) -> float:
        """The virtual time."""
        return self._clock.seconds()


def _answer() -> str:
    return "ok"
