"""What may stand in `policy.yaml`.

Strict: an unknown key, a wrong unit or a rule that can never apply is an error, never a silent default. The
idea of a strict file with a gallery of bad ones is envoyproxy/ratelimit's (`test/config/*.yaml`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.schema import Action, Category
from serving.anomaly.standing import USUAL, Adaptive
from serving.budget import DAY_S, UNITS_OF_MONEY
from serving.policy_errors import Location, Mistake, PolicyError, located, mistake_of, read_yaml, suggestion
from serving.ratelimit.limits import HIGHEST_RATE_PER_S

_POINT: Final = re.compile(r"fpr_(\d+(?:\.\d+)?)%")


def false_positive_percent(point: str) -> float:
    """The rate that an operating point promises: 0.1 for `fpr_0.1%`."""
    match = _POINT.fullmatch(point)
    if match is None:
        raise ValueError(f"unknown operating point {point!r}; expected fpr_RATE% such as fpr_1%")
    return float(match[1])


def _named(what: str, members: type[StrEnum]) -> BeforeValidator:
    def member(value: object) -> StrEnum:
        try:
            return members(str(value))
        except ValueError:
            hint = suggestion(str(value), members) or f"; expected one of {', '.join(members)}"
            raise ValueError(f"unknown {what} {value!r}{hint}") from None

    return BeforeValidator(member)


def _point(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must name an operating point such as fpr_1%, got {value!r}")  # noqa: TRY004  pydantic's way
    false_positive_percent(value)
    return value


def _log_text(value: str) -> str:
    if value in ("none", "flagged", "all"):
        return value
    name, _, rate = value.partition(":")
    try:
        if name == "sampled" and 0 < float(rate) <= 1:
            return value
    except ValueError:
        pass
    raise ValueError(f"must be none, flagged, all or sampled:RATE with a rate above 0 and up to 1, got {value!r}")


def _currency(value: str) -> str:
    if re.fullmatch(r"[A-Z]{3}", value) is None:
        raise ValueError(f"must be three capital letters such as EUR, got {value!r}")
    return value


def _reachable(rule: dict[Action, str]) -> dict[Action, str]:
    if not rule:
        raise ValueError("names no action; write for example {flag: fpr_1%}, or leave the category out")
    ordered = sorted(rule.items(), key=lambda item: item[0].severity)
    for (milder, easy), (stronger, hard) in itertools.pairwise(ordered):
        if false_positive_percent(easy) <= false_positive_percent(hard):
            raise ValueError(
                f"{milder} at {easy} can never apply, as {stronger} at {hard} is reached first; "
                f"give {stronger} the lower rate"
            )
    return rule


def _not_allow(value: Action) -> Action:
    if value is Action.ALLOW:
        raise ValueError("must be flag, redact or block: what was not read is never plainly allowed")
    return value


MOST_A_DAY: Final = int(HIGHEST_RATE_PER_S) * DAY_S
Count = Annotated[int, Field(ge=1)]
PerMinute = Annotated[int, Field(ge=1, le=int(HIGHEST_RATE_PER_S * 60))]
CategoryName = Annotated[Category, _named("category", Category)]
ActionName = Annotated[Action, _named("action", Action)]
PointName = Annotated[str, BeforeValidator(_point)]
Rules = dict[CategoryName, Annotated[dict[ActionName, PointName], AfterValidator(_reachable)]]
RuleSetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DailyBudgetFile(_Section):
    """What one principal may spend in a day; an amount that is left out is unlimited."""

    tokens: Annotated[int, Field(ge=1, le=MOST_A_DAY)] | None = None
    money: Annotated[float, Field(ge=0.001, le=MOST_A_DAY / UNITS_OF_MONEY, allow_inf_nan=False)] | None = None


def _off(value: object) -> object:
    return "off" if value is False else value  # YAML's own word for false


Mode = Annotated[Literal["off", "shadow", "enforce"], BeforeValidator(_off)]
_Share = Annotated[float, Field(ge=0.0001, le=1, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class AdaptiveFile(_Section):
    """How the tier's limits follow its callers' behaviour; what is left out is as in serving/anomaly/standing.py."""

    mode: Mode = USUAL.mode
    floor: _Share = USUAL.floor
    ceiling: _Share = USUAL.ceiling
    cut: _Share = USUAL.cut
    cut_interval_s: _Seconds = USUAL.cut_interval_s
    cool_down_s: _Seconds = USUAL.cool_down_s
    recovery_s: _Seconds = USUAL.recovery_s
    cut_at: _Share = USUAL.cut_at
    release_at: _Share = USUAL.release_at

    def knobs(self) -> Adaptive:
        """The same for the controller. Raises ValueError for fields that contradict each other."""
        return Adaptive(**self.model_dump())


class TierFile(_Section):
    """One tier as written; the fields are explained in docs/policy.md."""

    requests_per_minute: PerMinute
    burst: Count
    tokens_per_minute: PerMinute
    token_burst: Count
    concurrent: Count
    max_characters: Count
    max_texts: Count
    on_redis_down: Literal["local", "deny"]
    log_text: Annotated[str, AfterValidator(_log_text)] = "none"
    policy: str
    allowed_policies: list[str] = Field(default_factory=list)
    daily_budget: DailyBudgetFile = Field(default_factory=DailyBudgetFile)
    adaptive: AdaptiveFile = Field(default_factory=AdaptiveFile)


_TIER_SECTIONS: Final[dict[str, type[BaseModel]]] = {"daily_budget": DailyBudgetFile, "adaptive": AdaptiveFile}


class TiersFile(_Section):
    """All three tiers, always."""

    anonymous: TierFile
    authenticated: TierFile
    internal: TierFile

    def items(self) -> Iterator[tuple[str, TierFile]]:
        """Name and tier, lowest first."""
        yield from (("anonymous", self.anonymous), ("authenticated", self.authenticated), ("internal", self.internal))


class RuleSetFile(_Section):
    """One named policy: for each direction and category, at which operating point to do what."""

    block_message: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    unread: Annotated[ActionName, AfterValidator(_not_allow)] = Action.FLAG
    price_per_1k_tokens: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 0.0
    input: Rules = Field(default_factory=dict)
    output: Rules = Field(default_factory=dict)


class PolicyFile(_Section):
    """The whole file."""

    currency: Annotated[str, AfterValidator(_currency)] = "USD"
    tiers: TiersFile
    policies: Annotated[dict[RuleSetName, RuleSetFile], Field(min_length=1)]


def read_policy_file(path: Path) -> PolicyFile:
    """Parse and check one file. Raises :class:`PolicyError` with every mistake that can be seen at once."""
    content, lines = read_yaml(path)
    try:
        policy_file = PolicyFile.model_validate(content)
    except ValidationError as error:
        mistakes = [mistake_of(detail, _known_keys) for detail in error.errors()]
    else:
        mistakes = list(_contradictions(policy_file))
        if not mistakes:
            return policy_file
    raise PolicyError(located(path, mistake, lines) for mistake in mistakes)


def _contradictions(policy_file: PolicyFile) -> Iterator[Mistake]:
    """What is wrong although every field is right by itself."""
    known = policy_file.policies
    for name, tier in policy_file.tiers.items():
        at: Location = ("tiers", name)
        if tier.concurrent <= tier.burst:
            text = f"must be more than burst ({tier.burst}), or a burst can never be used, got {tier.concurrent}"
            yield Mistake((*at, "concurrent"), text)
        if tier.max_texts > tier.burst:
            text = f"must be at most burst ({tier.burst}), as each text is one request, got {tier.max_texts}"
            yield Mistake((*at, "max_texts"), text)
        # One token of cost stands for 4 bytes of UTF-8, and a character has at most 4 bytes.
        if tier.token_burst < tier.max_characters:
            text = (
                f"must be at least max_characters ({tier.max_characters}), or the longest request "
                f"could never be paid for, got {tier.token_burst}"
            )
            yield Mistake((*at, "token_burst"), text)
        try:
            tier.adaptive.knobs()
        except ValueError as error:
            yield Mistake((*at, "adaptive"), str(error))
        yield from _unpayable(policy_file, tier, (*at, "daily_budget"))
        for field, policy in [
            ("policy", tier.policy),
            *(("allowed_policies", other) for other in tier.allowed_policies),
        ]:
            if policy not in known:
                yield Mistake((*at, field), f"unknown policy {policy!r}" + suggestion(policy, known))


def _unpayable(policy_file: PolicyFile, tier: TierFile, at: Location) -> Iterator[Mistake]:
    """Why the longest request of the tier could never be paid from its daily budget, or why money is never spent."""
    budget = tier.daily_budget
    if budget.tokens is not None and budget.tokens < tier.max_characters:
        text = f"must be at least max_characters ({tier.max_characters}), as one character may cost one token"
        yield Mistake((*at, "tokens"), f"{text}, got {budget.tokens}")
    if budget.money is not None:
        policies = (policy_file.policies.get(name) for name in (tier.policy, *tier.allowed_policies))
        price = max((each.price_per_1k_tokens for each in policies if each is not None), default=0.0)
        longest = tier.max_characters * price / UNITS_OF_MONEY
        if price == 0:
            yield Mistake((*at, "money"), "no policy of this tier has a price_per_1k_tokens, so none is ever spent")
        elif budget.money < longest:
            text = f"must be at least {longest:g}, the cost of max_characters at {price:g} per 1,000 tokens"
            yield Mistake((*at, "money"), f"{text}, got {budget.money:g}")


def _known_keys(at: Location) -> Iterable[str]:
    sections: dict[tuple[int, str], type[BaseModel]] = {
        (1, "tiers"): TiersFile,
        (2, "tiers"): TierFile,
        (2, "policies"): RuleSetFile,
    }
    if len(at) == 3 and (inner := _TIER_SECTIONS.get(str(at[2]))):
        return inner.model_fields
    return sections.get((len(at), str(at[0])), PolicyFile).model_fields if at else PolicyFile.model_fields
