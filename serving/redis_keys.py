"""The names of what the limits keep in Redis.

All keys of a caller carry it as hash tag, so that they lie in one slot of a Redis Cluster.
"""

from __future__ import annotations

import functools
from typing import Final
from urllib.parse import quote

PATTERNS: Final = "weir:{patterns}:table"


def lease_key(principal: str) -> str:
    """The sorted set of leases that a principal holds."""
    return f"weir:lease:{_tag(principal)}"


def debts_key(principal: str) -> str:
    """What a principal owes on its limits."""
    return f"weir:debts:{_tag(principal)}"


def risk_key(caller: str) -> str:
    """What is remembered of the behaviour of a principal or an address."""
    return f"weir:risk:{_tag(caller)}"


def newcomers_at(address: str) -> str:
    """The caller that stands for all newcomers with keys at an address; the address itself is who sends no key."""
    return f"{address}:newcomers"


@functools.lru_cache(maxsize=1024)
def _tag(principal: str) -> str:
    # A brace inside a name would end the hash tag early, and an empty tag is none: both would scatter the keys.
    return "{" + (quote(principal, safe=":@/", errors="surrogatepass") or "%") + "}"
