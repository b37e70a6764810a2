"""The rate-limit headers of an answer, from an :class:`Admission`.

Two families: ``RateLimit-Policy`` and ``RateLimit`` (IETF draft-ietf-httpapi-ratelimit-headers, RFC 9651 structured
fields, names as quoted strings) and the older ``RateLimit-Limit/Remaining/Reset`` that Kong, Envoy and most clients
read. The policy stays as promised when an adaptive factor lowers a limit; ``RateLimit`` carries the lowered room.
"""

from __future__ import annotations

import math

from serving.ratelimit.answers import CONCURRENCY, Admission, LimitState
from serving.ratelimit.limits import SECOND_US


def headers(admission: Admission) -> dict[str, str]:
    """Header name to value; empty when no limit was looked at. ``Retry-After`` only when waiting helps."""
    if not admission.states:
        return {}
    fields = {
        "RateLimit-Policy": ", ".join(_policy(state) for state in admission.states),
        "RateLimit": ", ".join(_room(state) for state in admission.states),
    }
    rated = [state for state in admission.states if state.name != CONCURRENCY]
    if rated:
        tightest = min(rated, key=lambda state: (state.allowed, state.remaining / state.quota))
        fields["RateLimit-Limit"] = str(tightest.quota)
        fields["RateLimit-Remaining"] = str(tightest.remaining)
        fields["RateLimit-Reset"] = str(_seconds(tightest.reset_us))
    if admission.retry_after_s:
        fields["Retry-After"] = str(admission.retry_after_s)
    return fields


def _policy(state: LimitState) -> str:
    unit = "" if state.unit == "requests" else f';qu="{state.unit}"'
    window = f";w={state.window_s}" if state.window_s else ""
    return f'"{state.name}";q={state.quota}{unit}{window}'


def _room(state: LimitState) -> str:
    wait = f";t={_seconds(state.next_us)}" if state.next_us else ""
    return f'"{state.name}";r={state.remaining}{wait}'


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / SECOND_US)
