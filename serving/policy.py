"""What the product does about a prediction, and how much each tier may ask.

`load_policy` reads `policy.yaml`, `bind` fills in the thresholds of one model's manifest, and the bound policy
decides: a pure function of prediction, tier and direction. `python -m serving.policy check [PATH] [--bundle
production|DIR|none]` says `ok` and the version, or every problem.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from data.schema import Action, Category, Coverage, Decision, Direction, Prediction, Reason
from models.bundle import BundleError, load_bundle
from models.registry import resolve
from serving.policy_errors import PolicyError
from serving.policy_file import PolicyFile, Rules, RuleSetFile, read_policy_file
from serving.tier import Tier, tier_of

__all__ = [
    "BoundPolicy",
    "Policy",
    "PolicyError",
    "RuleSet",
    "bind",
    "load_policy",
]

DEFAULT_PATH: Final = Path(__file__).with_name("policy.yaml")
_REDACTED: Final = "[redacted]"


class OperatingPoints(Protocol):
    """What of a model's manifest the policy needs; :class:`models.bundle.Manifest` has it."""

    @property
    def version(self) -> str: ...

    @property
    def operating_points(self) -> Mapping[str, Mapping[Category, float]]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done once a score reaches an operating point."""

    point: str
    action: Action


@dataclass(frozen=True, slots=True)
class RuleSet:
    """One named policy. The rules of a category are ordered strongest action first.

    `unread` is done about a text that was not read to its end, or not well; never less than flag.
    """

    name: str
    rules: Mapping[Direction, Mapping[Category, tuple[Rule, ...]]]
    block_message: str | None
    unread: Action
    price_per_1k_tokens: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole of `policy.yaml`. `version` is a hash of its content, comments and order of keys aside."""

    tiers: Mapping[str, Tier]
    rule_sets: Mapping[str, RuleSet]
    version: str

    def tier(self, name: str) -> Tier:
        """The tier of that name; KeyError for any but anonymous, authenticated and internal."""
        return self.tiers[name]


def load_policy(path: Path = DEFAULT_PATH) -> Policy:
    """Read and check a policy file. Raises :class:`PolicyError` with every problem."""
    return _policy(read_policy_file(Path(path)))


def _policy(written: PolicyFile) -> Policy:
    canonical = json.dumps(written.model_dump(mode="json"), sort_keys=True).encode()
    return Policy(
        tiers={name: tier_of(name, tier, written.currency) for name, tier in written.tiers.items()},
        rule_sets={name: _rule_set(name, rule_set) for name, rule_set in written.policies.items()},
        version=hashlib.sha256(canonical).hexdigest()[:12],
    )


def _rule_set(name: str, written: RuleSetFile) -> RuleSet:
    def ordered(rules: Rules) -> dict[Category, tuple[Rule, ...]]:
        return {
            category: tuple(
                Rule(point, action)
                for action, point in sorted(actions.items(), key=lambda rule: rule[0].severity, reverse=True)
            )
            for category, actions in rules.items()
        }

    rules = {Direction.INPUT: ordered(written.input), Direction.OUTPUT: ordered(written.output)}
    return RuleSet(name, rules, written.block_message, written.unread, written.price_per_1k_tokens)


@dataclass(frozen=True, slots=True)
class BoundPolicy:
    """A policy with the thresholds of one model: what a request is decided by."""

    policy: Policy
    model_version: str
    thresholds: Mapping[str, Mapping[Category, float]]

    def decide(
        self,
        prediction: Prediction,
        tier: Tier,
        direction: Direction,
        rule_set: str | None = None,
    ) -> Decision:
        """What to do about one prediction. Pure.

        Raises :class:`PolicyNotAllowed` when the tier may not use `rule_set`.
        """
        chosen = self.policy.rule_sets[tier.choose(rule_set)]
        action = Action.ALLOW
        found = dict.fromkeys(Category, False)
        reasons: list[Reason] = []
        for category, rules in chosen.rules[direction].items():
            rule = self._reached(rules, category, prediction.scores[category])
            if rule is not None:
                found[category] = True
                action = max(action, rule.action, key=_severity)
                reasons.append(_classifier_reason(prediction, category, rule, chosen.name))
        if unread := _unread_reasons(prediction.coverage):
            action = max(action, chosen.unread, key=_severity)
            reasons += unread
        return Decision(
            action=action,
            categories=found,
            reasons=tuple(reasons),
            policy=chosen.name,
            policy_version=self.policy.version,
            block_message=chosen.block_message if action is Action.BLOCK else None,
            # The whole text goes: a prediction names one window for each category, and others may be over it too.
            redacted_text=_REDACTED if action is Action.REDACT else None,
        )

    def _reached(self, rules: tuple[Rule, ...], category: Category, score: float) -> Rule | None:
        for rule in rules:
            # Written so that a score which is not a number counts as reached: a failure to judge is never "allow".
            if not score < self.thresholds[rule.point][category]:
                return rule
        return None


def bind(policy: Policy, manifest: OperatingPoints) -> BoundPolicy:
    """The policy at the thresholds of one model. Raises :class:`PolicyError` for each point that it lacks."""
    problems = list(_unbound(policy, manifest))
    if problems:
        raise PolicyError(problems)
    return BoundPolicy(policy, manifest.version, manifest.operating_points)


def _unbound(policy: Policy, manifest: OperatingPoints) -> Iterator[str]:
    points = manifest.operating_points
    for rule_set in policy.rule_sets.values():
        for direction, categories in rule_set.rules.items():
            for category, rules in categories.items():
                at = f"policies.{rule_set.name}.{direction}.{category}"
                for rule in rules:
                    if rule.point not in points:
                        has = ", ".join(points) or "none"
                        yield f"{at}: model {manifest.version} has no operating point {rule.point}; it has {has}"
                    elif category not in points[rule.point]:
                        yield f"{at}: model {manifest.version} has no threshold for {category} at {rule.point}"
                    elif not math.isfinite(points[rule.point][category]):
                        yield f"{at}: the threshold of model {manifest.version} at {rule.point} is not a number"


def _severity(action: Action) -> int:
    return action.severity


def _classifier_reason(prediction: Prediction, category: Category, rule: Rule, policy: str) -> Reason:
    span = prediction.spans[category]
    return Reason(
        kind="classifier",
        category=category,
        score=prediction.scores[category],
        start=span.start,
        end=span.end,
        detail=f"score at or above {rule.point} in policy {policy}",
    )


def _unread_reasons(coverage: Coverage) -> list[Reason]:
    """Why low scores are no judgement of this text; empty when it was read whole and well."""
    reasons = []
    if not coverage.complete:
        left_out = 1 - coverage.scanned / coverage.tokens
        detail = f"{coverage.scanned} of {coverage.tokens} tokens were scanned"
        reasons.append(Reason("rule", "coverage", left_out, 0, 0, detail))
    if not coverage.legible:
        detail = f"the model can read {coverage.readable:.0%} of the letters, not {', '.join(coverage.unread_scripts)}"
        reasons.append(Reason("rule", "unreadable", 1 - coverage.readable, 0, 0, detail))
    return reasons


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m serving.policy", description="Check a policy file.")
    check = parser.add_subparsers(required=True).add_parser("check", help="say ok, or everything that is wrong")
    check.add_argument("path", nargs="?", type=Path, default=DEFAULT_PATH)
    check.add_argument("--bundle", default="production", help="bundle to bind to: an alias, a folder, or none")
    options = parser.parse_args(arguments)
    try:
        policy = load_policy(options.path)
        if options.bundle != "none":
            _check_bundle(policy, options.bundle)
    except PolicyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"ok: policy {policy.version}\n")
    return 0


def _check_bundle(policy: Policy, name: str) -> None:
    try:
        bundle = load_bundle(resolve(name))
    except (BundleError, OSError) as error:
        raise PolicyError([f"bundle {name}: {error}"]) from error
    bind(policy, bundle.manifest)


if __name__ == "__main__":
    sys.exit(_main())
