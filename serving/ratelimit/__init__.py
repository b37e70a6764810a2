"""Limits on what one principal may ask: GCRA on Redis, with a warm local fallback."""

from serving.ratelimit.answers import Admission, LimitState, Reason
from serving.ratelimit.headers import headers
from serving.ratelimit.limiter import OnRedisDown, RateLimiter
from serving.ratelimit.limits import Limit
from serving.ratelimit.redis import RedisStorage
from serving.ratelimit.storage import LocalStorage

__all__ = [
    "Admission",
    "Limit",
    "LimitState",
    "LocalStorage",
    "OnRedisDown",
    "RateLimiter",
    "Reason",
    "RedisStorage",
    "headers",
]
