"""Every answer that is not a Decision, as RFC 9457 problem details.

    Problem
    ├── Malformed
    │   ├── NotJson                400  the body is not JSON
    │   ├── UnsupportedMediaType   415  the body is not declared as JSON
    │   ├── InvalidRequest         422  JSON of the wrong shape; says which field and which rule
    │   ├── TooLarge               413  more bytes or characters than allowed
    │   └── BodyTimeout            408  the body did not arrive in time
    ├── Unauthenticated            401  the key is unknown or disabled
    ├── Forbidden                  403  the key may not do this
    ├── Banned                     403  an operator has shut this caller out
    ├── NotFound                   404
    ├── MethodNotAllowed           405
    ├── LimitExceeded
    │   ├── QuotaExceeded          429  over a limit
    │   └── AbnormalUsage          429  over a limit that was lowered because of unusual traffic
    ├── Unexpected                 500  a fault of ours; the log names the place
    └── CannotJudge
        ├── Overloaded             503  the queue is full; Retry-After says when to come back
        ├── ModelUnavailable       503  no verified model is loaded
        ├── JudgementTimeout       503  the deadline passed before the model answered
        ├── JudgementFailed        503  the model raised on this text
        └── LimitsUnavailable      503  Redis is away and the caller's tier says `deny`

A failure to judge is never an answer, so nothing here has a 2xx status. `detail` and `extra` say which
field broke which rule; they never repeat what the caller sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
IANA: Final = "https://iana.org/assignments/http-problem-types#"
OWN: Final = "urn:weir:problem:"


class Problem(Exception):  # noqa: N818  what RFC 9457 calls it; many are no errors of ours
    """An answer other than a decision; the base of the tree above.

    `detail` is one sentence for a person. `headers` are added to the response, `extra` to its body.
    """

    status = 500
    type = OWN + "unexpected"
    title = "The request could not be answered"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def body(self) -> dict[str, object]:
        """The problem details object, in the order of RFC 9457."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }

    def to_response(self) -> Response:
        """The problem as an HTTP response."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(orjson.dumps(self.body()), self.status, headers=headers, media_type=MEDIA_TYPE)


class Malformed(Problem):
    """The request itself is wrong; sending it again changes nothing."""


class NotJson(Malformed):
    """The body is not one JSON document in UTF-8."""

    status, type, title = 400, OWN + "not-json", "The body is not valid JSON"


class UnsupportedMediaType(Malformed):
    """The body is not declared as JSON."""

    status, type, title = 415, OWN + "unsupported-media-type", "The body must be application/json"


class InvalidRequest(Malformed):
    """The JSON has the wrong shape; `errors` lists field and rule."""

    status, type, title = 422, OWN + "invalid-request", "The request has the wrong shape"


class TooLarge(Malformed):
    """More bytes or characters than this server or this tier accepts."""

    status, type, title = 413, OWN + "too-large", "The request is too large"


class BodyTimeout(Malformed):
    """The body did not arrive in time; the connection is closed."""

    status, type, title = 408, OWN + "body-timeout", "The body did not arrive in time"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class Unauthenticated(Problem):
    """The presented key is unknown or disabled; a caller without any key is anonymous instead."""

    status, type, title = 401, OWN + "unauthenticated", "The API key is unknown or disabled"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="weir"'})


class Forbidden(Problem):
    """The key is good but may not do this."""

    status, type, title = 403, OWN + "forbidden", "This key may not do this"


class Banned(Problem):
    """An operator has shut this caller out; waiting does not help."""

    status, type, title = 403, OWN + "banned", "This caller is shut out"


class NotFound(Problem):
    """No such path."""

    status, type, title = 404, OWN + "not-found", "There is nothing at this path"


class MethodNotAllowed(Problem):
    """The path exists, with other methods; `Allow` lists them."""

    status, type, title = 405, OWN + "method-not-allowed", "This path does not answer that method"


class LimitExceeded(Problem):
    """A limit is used up: no inference was done."""


class QuotaExceeded(LimitExceeded):
    """Over a limit of the caller's tier."""

    status, type, title = 429, IANA + "quota-exceeded", "The quota is used up"


class AbnormalUsage(LimitExceeded):
    """Over a limit that was lowered because the caller's traffic is unusual."""

    status, type, title = 429, IANA + "abnormal-usage-detected", "The quota was lowered after unusual use"


class Unexpected(Problem):
    """A fault of ours. The log has the place, without the text."""


class CannotJudge(Problem):
    """No judgement was made, so none is given."""

    status, type, title = 503, OWN + "cannot-judge", "The text could not be judged"

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after_s: int = 1,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s), **(headers or {})}, extra=extra)


class Overloaded(CannotJudge):
    """The queue is full; said at once instead of after a wait."""

    type, title = IANA + "temporary-reduced-capacity", "The server is working at its capacity"


class ModelUnavailable(CannotJudge):
    """No verified model is loaded."""

    type, title = OWN + "model-unavailable", "No verified model is loaded"


class JudgementTimeout(CannotJudge):
    """The deadline passed first."""

    type, title = OWN + "judgement-timeout", "The text was not judged in time"


class JudgementFailed(CannotJudge):
    """The model raised on this text."""

    type, title = OWN + "judgement-failed", "The model failed on this text"


class LimitsUnavailable(CannotJudge):
    """The limits cannot be checked and the tier's `on_redis_down` is `deny`."""

    type, title = OWN + "limits-unavailable", "The limits cannot be checked"


PROBLEMS: Final[tuple[type[Problem], ...]] = (
    NotJson,
    UnsupportedMediaType,
    InvalidRequest,
    TooLarge,
    BodyTimeout,
    Unauthenticated,
    Forbidden,
    Banned,
    NotFound,
    MethodNotAllowed,
    QuotaExceeded,
    AbnormalUsage,
    Unexpected,
    CannotJudge,
    Overloaded,
    ModelUnavailable,
    JudgementTimeout,
    JudgementFailed,
    LimitsUnavailable,
)
"""Every problem that can be answered: the one table that the OpenAPI document and docs/http-api.md follow."""
