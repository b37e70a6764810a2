"""The body of `POST /classify` and its answer.

Validation errors carry the field and the rule, never the value: what a caller sent must not come back in an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from data.schema import CATEGORIES, Action, Category, Decision, Direction, Prediction, Reason
from serving.errors import InvalidRequest, NotJson

# Ids are written to logs and headers, so only what is harmless there is taken.
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:\-]{1,128}$")]
UserId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,256}$")]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._\-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


TEXT_PARTS: Final = ("text", "input_text", "output_text")
# Fields of a message that reach a model or a reader and hold no text that is judged.
UNREAD_FIELDS: Final = ("tool_calls", "function_call", "audio", "refusal")
FOREIGN_ROLES: Final = ("assistant", "tool", "function")
# Nobody has talked for so long; reading more would keep the event loop from everybody else.
MOST_MESSAGES: Final = 4_096


class Message(BaseModel):
    """One message of a conversation, in OpenAI's shape.

    Text is judged; images, tool calls and other parts cannot be, so they leave the coverage incomplete.
    """

    model_config = ConfigDict(extra="ignore", strict=True)

    role: Role
    content: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = Field(
        default=None, description="a string, or a list of parts, whose texts are joined by new lines"
    )
    tool_calls: list[Any] | None = Field(default=None, description="not judged: leaves the coverage incomplete")
    function_call: Any = Field(default=None, description="not judged: leaves the coverage incomplete")
    audio: Any = Field(default=None, description="not judged: leaves the coverage incomplete")
    refusal: Any = Field(default=None, description="not judged: leaves the coverage incomplete")

    def text(self) -> str:
        """What of this message is judged; empty if it holds no text."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part["text"] for part in self.content or () if _is_text(part))

    def unread(self) -> int:
        """How many parts of this message cannot be judged."""
        parts = self.content if isinstance(self.content, list) else ()
        return sum(not _is_text(part) for part in parts) + sum(bool(getattr(self, name)) for name in UNREAD_FIELDS)


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") in TEXT_PARTS and isinstance(part.get("text"), str)


class ClassifyRequest(BaseModel):
    """Exactly one of `text`, `texts` and `messages`; a null field counts as absent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text | None = Field(default=None, description="one text")
    texts: Annotated[list[Text], Field(min_length=1, fail_fast=True)] | None = Field(
        default=None, description="several texts"
    )
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)] | None = Field(
        default=None, description="a conversation, of which the last message is judged"
    )
    direction: Literal["input", "output"] | None = Field(
        default=None, description="to the model or from it; default: input, or what the last message's role says"
    )
    user: UserId | None = Field(default=None, description="the end user's id, opaque to Weir")
    policy: PolicyName | None = Field(default=None, description="rule set to decide by; default: the tier's")
    request_id: RequestId | None = Field(default=None, description="comes back in X-Request-ID and in the event")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = sum(field is not None for field in (self.text, self.texts, self.messages))
        if given != 1:
            raise PydanticCustomError("exactly_one", "give exactly one of text, texts and messages")
        return self

    def judged_texts(self) -> list[str]:
        """The texts to judge, in the order of the answer."""
        if self.texts is not None:
            return self.texts
        if self.messages is not None:
            return [self.messages[-1].text()]
        return [self.text or ""]

    def unread(self) -> int:
        """How many parts of what is asked about cannot be judged; the answer's coverage counts each as a token."""
        return 0 if self.messages is None else self.messages[-1].unread()

    def judged_direction(self) -> Direction:
        """Which way the texts travel."""
        if self.direction is not None:
            return Direction(self.direction)
        if self.messages is not None and self.messages[-1].role == "assistant":
            return Direction.OUTPUT
        return Direction.INPUT

    def own_words(self) -> bool:
        """Whether the texts are the caller's, not a model's answer or what a tool brought in from a third party."""
        role = self.messages[-1].role if self.messages is not None else "user"
        return self.judged_direction() is Direction.INPUT and role not in FOREIGN_ROLES


UNKNOWN_KEYS: Final = {"field": "(body)", "rule": "extra_forbidden", "detail": "Extra inputs are not permitted"}


def parse(body: bytes) -> ClassifyRequest:
    """Read a body. Raises NotJson, or InvalidRequest with field and rule."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The decoder's message names a position and a rule; error.doc would be the body itself.
        detail = "The body is empty." if not body else f"Not JSON in UTF-8: {error.msg} at character {error.pos}."
        raise NotJson(detail) from None
    if isinstance(document, dict) and len(document) > len(ClassifyRequest.model_fields):
        # Some key is unknown, then. A body of a hundred thousand would keep the event loop busy with naming them.
        raise InvalidRequest(extra={"errors": [UNKNOWN_KEYS]})
    try:
        return ClassifyRequest.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(extra={"errors": field_errors(error)}) from None


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """Field path and rule of each error, of a list its first; without values and without keys that we do not know."""
    found = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        unknown = item["type"] == "extra_forbidden"
        path = [str(part) for part in (item["loc"][:-1] if unknown else item["loc"])]
        found.append({"field": ".".join(path) or "(body)", "rule": item["type"], "detail": item["msg"]})
    return found


class ReasonBody(BaseModel):
    """Why the action is not a plain allow; `start` and `end` are code points of the caller's text, end exclusive."""

    kind: Literal["classifier", "rule", "pii", "anomaly"]
    category: str
    score: float
    start: int
    end: int
    detail: str


class CoverageBody(BaseModel):
    """How much of the text the model read, and how well: of what it cannot read, a low score says nothing."""

    tokens: int
    scanned: int
    windows: int
    complete: bool
    readable: float = Field(description="share of the letters that the model can read, 0 to 1")
    unread_scripts: list[str] = Field(description="scripts of the letters that it cannot read, most letters first")


class AnomalyBody(BaseModel):
    """How unusual the caller's traffic has been, why (evidence by signal, the weightiest first), and its factor."""

    score: float
    limit_factor: float
    signals: dict[str, float]


class ClusterBody(BaseModel):
    """The known group of attacks that the text is most like; similarity 0 is a harmless text's, 1 a member's."""

    id: str
    similarity: float


class TimingsBody(BaseModel):
    """Milliseconds in each stage; `total` is from the first byte of the request to the decision."""

    limit: float
    queue: float
    model: float
    total: float


class ClassifyResult(BaseModel):
    """The judgement of one text."""

    id: str
    action: Action
    flagged: bool
    block: bool
    block_message: str | None
    categories: dict[Category, bool]
    scores: dict[Category, float]
    reasons: list[ReasonBody]
    coverage: CoverageBody
    anomaly: AnomalyBody
    cluster: ClusterBody | None
    redacted_text: str | None
    model_version: str
    policy_version: str
    timings_ms: TimingsBody


class ClassifyResults(BaseModel):
    """The judgements of `texts`, in their order."""

    results: list[ClassifyResult]


_NAMED: Final = tuple((category.value, category) for category in CATEGORIES)  # an enum's value costs a call each time


def result_body(
    event_id: str,
    prediction: Prediction,
    decision: Decision,
    *,
    anomaly: float,
    signals: Mapping[str, float],
    limit_factor: float,
    timings_ms: Mapping[str, float],
) -> dict[str, object]:
    """One judgement, in the field order of the contract; `block` and `block_message` let Kong use it without Lua."""
    coverage, cluster = prediction.coverage, prediction.cluster
    return {
        "id": event_id,
        "action": decision.action.value,
        "flagged": decision.flagged,
        "block": decision.action is Action.BLOCK,
        "block_message": decision.block_message,
        "categories": {name: decision.categories[category] for name, category in _NAMED},
        "scores": {name: round(float(prediction.scores[category]), 6) for name, category in _NAMED},
        "reasons": [_reason_body(reason) for reason in decision.reasons],
        "coverage": {
            "tokens": coverage.tokens,
            "scanned": coverage.scanned,
            "windows": coverage.windows,
            "complete": coverage.complete,
            "readable": round(coverage.readable, 4),
            "unread_scripts": list(coverage.unread_scripts),
        },
        "anomaly": {
            "score": round(anomaly, 6),
            "limit_factor": round(limit_factor, 6),
            "signals": {name: round(value, 6) for name, value in signals.items()},
        },
        "cluster": None if cluster is None else {"id": cluster.id, "similarity": round(cluster.similarity, 6)},
        "redacted_text": decision.redacted_text,
        "model_version": prediction.model_version,
        "policy_version": decision.policy_version,
        "timings_ms": {name: round(value, 3) for name, value in timings_ms.items()},
    }


def _reason_body(reason: Reason) -> dict[str, object]:
    return {
        "kind": reason.kind,
        "category": reason.category,
        "score": round(float(reason.score), 6),
        "start": reason.start,
        "end": reason.end,
        "detail": reason.detail,
    }
