"""The one place where records are defined.

A text is an :class:`Example` while we learn from it, gets a :class:`Prediction` from the model and a
:class:`Decision` from the policy, and leaves an :class:`Event` behind. Every other module passes these
four along. The categories follow the OpenAI moderation taxonomy, with `injection` added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt


class Category(StrEnum):
    """What a text can be wrong for; the order is the order of the model's outputs."""

    INJECTION = "injection"
    HATE = "hate"
    HARASSMENT = "harassment"
    SELF_HARM = "self-harm"
    SEXUAL = "sexual"
    VIOLENCE = "violence"
    ILLICIT = "illicit"


CATEGORIES: Final = tuple(Category)
HARM_CATEGORIES: Final = CATEGORIES[1:]

# Harms that annotators of one corpus do not tell apart from those of another: a row that is labelled
# with the key says nothing about the values, so those targets are masked instead of called negative.
OVERLAPPING_HARMS: Final[Mapping[Category, frozenset[Category]]] = {
    Category.HATE: frozenset({Category.HARASSMENT, Category.VIOLENCE}),
    Category.HARASSMENT: frozenset({Category.HATE, Category.VIOLENCE, Category.SEXUAL}),
    Category.SELF_HARM: frozenset({Category.VIOLENCE, Category.ILLICIT}),
    Category.SEXUAL: frozenset({Category.HARASSMENT, Category.ILLICIT}),
    Category.VIOLENCE: frozenset({Category.HARASSMENT, Category.HATE, Category.ILLICIT}),
    Category.ILLICIT: frozenset({Category.VIOLENCE, Category.HARASSMENT}),
}


class Direction(StrEnum):
    """Which way a text travels: to the model (prompts, tool results) or from it (answers)."""

    INPUT = "input"
    OUTPUT = "output"


class Action(StrEnum):
    """What to do with a text, mildest first."""

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """Rank among the actions: 0 for allow, 3 for block."""
        return tuple(Action).index(self)


class Kind(StrEnum):
    """What a corpus says that a row is."""

    INJECTION = "injection"
    JAILBREAK = "jailbreak"
    HARM = "harm"
    BENIGN = "benign"


class LicenceClass(StrEnum):
    """How freely a row may be used; only the first two may train a published model."""

    PERMISSIVE = "permissive"
    PERMISSIVE_UPSTREAM = "permissive-upstream"
    COPYLEFT = "copyleft"
    NON_COMMERCIAL = "non-commercial"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text.

    `group` names the template or document that the text was made from: examples of one group never
    stand on two sides of a split. `weak` marks a noisy label. `labels` keeps the source's own fields.
    """

    id: str
    text: str
    source: str
    kind: Kind
    harm_categories: frozenset[Category] = frozenset()
    direction: Direction = Direction.INPUT
    split: str | None = None
    weak: bool = False
    eval_only: bool = False
    licence_class: LicenceClass = LicenceClass.UNSTATED
    group: str | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)

    def targets(self) -> dict[Category, float | None]:
        """What this row teaches each head: 1.0, 0.0, or None where it says nothing (masked in the loss).

        A harm row is negative for injection, positive for its own categories, silent about those that overlap
        them, and silent about every harm if its source names none. A jailbreak often carries a harmful request,
        so it says nothing about harm either, unless its categories are named.
        """
        if self.kind is Kind.BENIGN:
            return dict.fromkeys(CATEGORIES, 0.0)
        targets: dict[Category, float | None] = dict.fromkeys(CATEGORIES, 0.0 if self.harm_categories else None)
        targets[Category.INJECTION] = 0.0 if self.kind is Kind.HARM else 1.0
        for category in self.harm_categories:
            targets.update(dict.fromkeys(OVERLAPPING_HARMS[category]))
        targets.update(dict.fromkeys(self.harm_categories, 1.0))
        return targets


# A text counts as legible up to here. Few harmless English texts quote more (docs/models.md), and a sentence that
# asks for something is hardly shorter than the second in any script.
LEAST_READABLE: Final = 0.8
MOST_FOREIGN: Final = 20


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a text the model saw. `complete` is false as soon as one token was left out.

    `readable` is the share of the letters that the model can read, and `unread_scripts` names the scripts ("thai") of
    the others, that of most letters first. `foreign` says how much is in scripts or words that it does not read at all,
    in Latin letters (models/legibility.py).
    """

    tokens: int
    scanned: int
    windows: int
    readable: float = 1.0
    foreign: int = 0
    unread_scripts: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every token was scanned."""
        return self.scanned >= self.tokens

    @property
    def legible(self) -> bool:
        """Whether so much of it could be read that low scores are a judgement."""
        return self.readable >= LEAST_READABLE and self.foreign < MOST_FOREIGN


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the caller's own text, in code points; `end` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ClusterMatch:
    """The known group of attacks that a text is most like.

    `similarity` in [0, 1]: 0 is what harmless texts reach, 1 what half of the cluster's own members reach.
    """

    id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text, before any policy.

    `scores` are calibrated probabilities. `spans` says for each category which window scored highest.
    `embedding` is the pooled encoder output of the highest-scoring window, shape [D], unit length.
    `changes` counts what normalisation did ("zero-width": 3), by name. `cluster` is None if the bundle has none.
    """

    scores: Mapping[Category, float]
    coverage: Coverage
    spans: Mapping[Category, Span]
    embedding: npt.NDArray[np.float32]
    changes: Mapping[str, int]
    model_version: str
    cluster: ClusterMatch | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision is not a plain allow. Never holds user text."""

    kind: str  # classifier | rule | pii | anomaly
    category: str
    score: float
    start: int
    end: int
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy makes of a Prediction."""

    action: Action
    categories: Mapping[Category, bool]
    reasons: tuple[Reason, ...]
    policy: str
    policy_version: str
    block_message: str | None = None
    redacted_text: str | None = None

    @property
    def flagged(self) -> bool:
        """Whether anything at all was found, whatever is done about it."""
        return self.action is not Action.ALLOW


@dataclass(frozen=True, slots=True)
class Event:
    """What is remembered of one decision, the record that travels from the service to the label queue.

    `principal` is an opaque id, never a key. `address` is a keyed hash of the client address. `text` is
    null unless the policy's `log_text` says otherwise. `time` is seconds since the epoch, UTC. `anomaly` is the score
    that `signals` (evidence by name, in (0, 1]) add up to, as the caller's behaviour stood before this request.
    """

    id: str
    time: float
    request_id: str | None
    principal: str
    tier: str
    address: str
    user: str | None
    direction: Direction
    action: Action
    categories: tuple[Category, ...]
    scores: Mapping[Category, float]
    reasons: tuple[Reason, ...]
    coverage: Coverage
    changes: Mapping[str, int]
    anomaly: float
    limit_factor: float
    model_version: str
    policy: str
    policy_version: str
    timings_ms: Mapping[str, float]
    text: str | None = None
    embedding: tuple[float, ...] | None = None
    cluster: ClusterMatch | None = None
    signals: Mapping[str, float] = field(default_factory=dict)
    schema: int = 1
