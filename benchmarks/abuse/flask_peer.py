"""Flask-Limiter itself, in a Flask application, on virtual time. Needs the packages flask and flask-limiter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import flask
import flask_limiter
import limits.storage.memory
import limits.strategies

from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.traffic import Ask, Reply
from serving.policy import Policy

_TIMED: Final = (limits.storage.memory, limits.strategies)


class FlaskLimiter:
    """A Flask application with Flask-Limiter's moving windows, one for requests and one for tokens, by caller.

    It lives within :func:`open_flask_limiter`.
    """

    name = "Flask-Limiter"

    def __init__(self, policy: Policy, clock: VirtualClock) -> None:
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


@contextmanager
def open_flask_limiter(policy: Policy, clock: VirtualClock) -> Iterator[FlaskLimiter]:
    """The gate, while the modules of Flask-Limiter that ask for the time are told the virtual one, and they alone."""
    real = [module.time for module in _TIMED]
    for module in _TIMED:
        module.time = _Time(clock)  # type: ignore[attr-defined]
    try:
        yield FlaskLimiter(policy, clock)
    finally:
        for module, time in zip(_TIMED, real, strict=True):
            module.time = time  # type: ignore[attr-defined]


class _Time:
    """Stands in for the module `time`."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def time(self) -> float:
        """The virtual time."""
        return self._clock.seconds()


def _answer() -> str:
    return "ok"
