"""What the service says about itself: `/readyz` for load balancers, `/info` for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.policy import Policy
from serving.tier import Tier

if TYPE_CHECKING:
    from serving.gateway import Gateway

API_VERSION: Final = "1"
PROGRAM_VERSION: Final = "0.1.0"


def readiness(gateway: Gateway) -> tuple[bool, dict[str, object]]:
    """Whether this replica can judge, and the state of each part by name.

    A Redis that is down does not make it unready: the tiers say what happens then, every replica would fail at once,
    and the load balancer would turn a limiter that works in its fallback into an outage.
    """
    live = gateway.slot.current
    model: dict[str, object] = {"version": None, "self_test": "not passed", "problem": gateway.slot.problem}
    if live is not None:
        model = {"version": live.version, "self_test": "passed", "problem": None}
    return live is not None, {
        "ready": live is not None,
        "model": model,
        "redis": gateway.connection.state.as_dict(),
        "policy": {"version": gateway.policy.version},
    }


def info(gateway: Gateway) -> dict[str, object]:
    """Public facts: the model, its operating points, the policies and what each tier may send."""
    live = gateway.slot.current
    return {
        "name": "weir",
        "version": PROGRAM_VERSION,
        "api_version": API_VERSION,
        "model": None if live is None else _model(gateway),
        "policy": _policy(gateway.policy),
        "limits": {
            "max_body_bytes": gateway.settings.max_body_bytes,
            "queue_tokens": gateway.settings.queue_tokens,
            "predict_timeout_s": gateway.settings.predict_timeout_s,
        },
    }


def _model(gateway: Gateway) -> dict[str, object]:
    live = gateway.slot.current
    if live is None:
        return {}
    manifest = live.bundle.manifest
    return {
        "version": manifest.version,
        "sha256": live.bundle.sha256,
        "created": manifest.created,
        "base_model": manifest.base_model,
        "licences": list(manifest.licences),
        "labels": [label.value for label in manifest.labels],
        "operating_points": {
            point: {category.value: value for category, value in thresholds.items()}
            for point, thresholds in manifest.operating_points.items()
        },
        "window": {"tokens": manifest.max_length, "stride": manifest.stride},
        "provider": live.classifier.provider,
        "threads": gateway.settings.inference_threads,
    }


def _policy(policy: Policy) -> dict[str, object]:
    return {
        "version": policy.version,
        "policies": {
            name: {
                direction.value: {
                    category.value: [{"action": rule.action.value, "at": rule.point} for rule in found]
                    for category, found in rules.items()
                }
                for direction, rules in rule_set.rules.items()
            }
            for name, rule_set in policy.rule_sets.items()
        },
        "tiers": {name: _tier(tier) for name, tier in policy.tiers.items()},
    }


def _tier(tier: Tier) -> dict[str, object]:
    limits, budget = tier.limits, tier.daily_budget
    return {
        "requests_per_minute": limits.requests_per_minute,
        "burst": limits.burst,
        "tokens_per_minute": limits.tokens_per_minute,
        "token_burst": limits.token_burst,
        "concurrent": limits.concurrent,
        "max_characters": limits.max_characters,
        "max_texts": limits.max_texts,
        "daily_budget": {"tokens": budget.tokens, "money": budget.money, "currency": budget.currency},
        "on_redis_down": tier.on_redis_down,
        "policies": list(tier.allowed_policies),
    }
