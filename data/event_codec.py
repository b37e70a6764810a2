"""How an event travels: one line of JSON on a Redis stream.

The service writes and the drain reads, so the form is fixed here, without anything that the service's environment
lacks. Embeddings travel as base64 of half-precision floats, a tenth of their size as JSON numbers: clusters of
unit vectors need no more digits.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import operator
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson

from data.schema import Action, Category, ClusterMatch, Coverage, Direction, Event, Reason

STREAM: Final = "weir:{events}:log"
FIELD: Final = "event"


_NAMES: Final = tuple(field.name for field in dataclasses.fields(Event))
_VALUES: Final = operator.attrgetter(*_NAMES)


def to_json(event: Event, **instead: object) -> bytes:
    """One line of JSON without its newline, with the fields `instead` of the event's own.

    Lone surrogates, which UTF-8 cannot carry, become question marks.
    """
    written: dict[str, Any] = dict(zip(_NAMES, _VALUES(event), strict=True)) | instead
    embedding = written["embedding"]
    for name in ("text", "user", "request_id"):
        if written[name] is not None:
            written[name] = written[name].encode("utf-8", "replace").decode()
    written["scores"] = {category.value: score for category, score in event.scores.items()}
    if embedding is not None:
        written["embedding"] = base64.b64encode(np.asarray(embedding, dtype="<f2").tobytes()).decode()
    return orjson.dumps(written, option=orjson.OPT_SERIALIZE_NUMPY)


def from_json(line: bytes) -> Event:
    """The event of one line; ValueError, KeyError or TypeError if it is none."""
    return event_of(orjson.loads(line))


def event_of(fields: Mapping[str, Any]) -> Event:
    """An event from its fields as JSON values. Fields that a newer writer added are left out."""
    known = {field.name: fields[field.name] for field in dataclasses.fields(Event) if field.name in fields}
    embedding, cluster = known.get("embedding"), known.get("cluster")
    if isinstance(embedding, str):
        embedding = np.frombuffer(base64.b64decode(embedding), dtype="<f2").astype(float).tolist()
    known.update(
        direction=Direction(fields["direction"]),
        action=Action(fields["action"]),
        categories=tuple(Category(name) for name in fields["categories"]),
        scores={Category(name): _number(score) for name, score in fields["scores"].items()},
        reasons=tuple(Reason(**{**reason, "score": _number(reason["score"])}) for reason in fields["reasons"]),
        coverage=_coverage(fields["coverage"]),
        embedding=None if embedding is None else tuple(embedding),
        cluster=None if cluster is None else ClusterMatch(**cluster),
    )
    return Event(**known)


def _coverage(fields: Mapping[str, Any]) -> Coverage:
    """Coverage from its fields; a writer that was older left some out, a newer one added some."""
    known = {field.name: fields[field.name] for field in dataclasses.fields(Coverage) if field.name in fields}
    return Coverage(**{**known, "unread_scripts": tuple(known.get("unread_scripts") or ())})


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # JSON has no NaN, so it travelled as null
