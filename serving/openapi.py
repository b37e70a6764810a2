"""The OpenAPI document, from the pydantic models and the one table of problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydantic.json_schema import models_json_schema

from serving.contracts.classify import ClassifyRequest, ClassifyResult, ClassifyResults
from serving.errors import MEDIA_TYPE, PROBLEMS, Problem
from serving.policy import Policy

_REF: Final = "#/components/schemas/"
_RATE_HEADERS: Final = {
    "RateLimit-Policy": "the limits of the tier (draft-ietf-httpapi-ratelimit-headers)",
    "RateLimit": "what is left of each limit",
    "RateLimit-Limit": "quota of the tightest limit, in the older header family",
    "RateLimit-Remaining": "what is left of it",
    "RateLimit-Reset": "seconds until it is whole again",
}


def document(policy: Policy) -> dict[str, object]:
    """OpenAPI 3.1 of every route, with the names of the policies and the largest sizes that any tier may send."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Weir",
            "version": "1",
            "description": "A self-hosted safety gateway for LLM endpoints: classify, limit, learn.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"bearer": []}, {"apiKey": []}],
        "paths": {
            "/classify": {"post": _classify()},
            "/info": {"get": _plain("info", "The model, its operating points, the policies and the limits.")},
            "/readyz": {
                "get": _plain(
                    "readyz",
                    "Whether this replica can judge, with the state of model and Redis.",
                    also={"503": "not ready"},
                )
            },
            "/livez": {"get": _plain("livez", "The process answers.")},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _plain("openapi", "This document.")},
        },
        "components": {"schemas": _schemas(policy), "securitySchemes": _security_schemes()},
    }


def _classify() -> dict[str, object]:
    accepted = {
        "description": "One judgement; with `texts`, one for each, in order.",
        "headers": _headers(_RATE_HEADERS),
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": _REF + "ClassifyResult"}, {"$ref": _REF + "ClassifyResults"}]}
            }
        },
    }
    malformed = (400, 401, 403, 408, 413, 415, 422, 429, 500, 503)
    return {
        "operationId": "classify",
        "summary": "Judge a text, several texts, or the last message of a conversation.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF + "ClassifyRequest"}}},
        },
        "responses": {"200": accepted, **{str(status): _problem_response(status) for status in malformed}},
    }


def _problem_response(status: int) -> dict[str, object]:
    of_status = [problem for problem in PROBLEMS if problem.status == status]
    titles = "; ".join(f"{problem.title} (`{problem.type}`)" for problem in of_status)
    headers = {"Retry-After": "seconds to wait"} if status in (429, 503) else {}
    if status == 429:
        headers |= _RATE_HEADERS
    return {
        "description": titles,
        "headers": _headers(headers),
        "content": {MEDIA_TYPE: {"schema": _problem_schema(of_status)}},
    }


def _problem_schema(problems: Iterable[type[Problem]]) -> dict[str, object]:
    types = [problem.type for problem in problems]
    return {"allOf": [{"$ref": _REF + "Problem"}, {"properties": {"type": {"enum": types}}}]}


def _headers(described: dict[str, str]) -> dict[str, object]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}


def _plain(name: str, summary: str, also: dict[str, str] | None = None) -> dict[str, object]:
    content = {"application/json": {"schema": {"type": "object"}}}
    responses = {"200": summary, **(also or {})}
    return {
        "operationId": name,
        "summary": summary,
        "security": [{}],
        "responses": {status: {"description": text, "content": content} for status, text in responses.items()},
    }


def _metrics() -> dict[str, object]:
    return {
        "operationId": "metrics",
        "summary": "Prometheus metrics.",
        "security": [{}],
        "responses": {
            "200": {"description": "text format 0.0.4", "content": {"text/plain": {"schema": {"type": "string"}}}}
        },
    }


def _schemas(policy: Policy) -> dict[str, object]:
    _, definitions = models_json_schema(
        [(ClassifyRequest, "validation"), (ClassifyResult, "serialization"), (ClassifyResults, "serialization")],
        ref_template=_REF + "{model}",
    )
    schemas: dict[str, object] = dict(definitions["$defs"])
    request = dict(definitions["$defs"]["ClassifyRequest"])
    request["properties"] = {**request["properties"], **_bounds(policy)}
    # JSON Schema has no "null counts as absent", so the rule of exactly one is said in terms of what is not null.
    present = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("text", "texts", "messages")
    ]
    request["oneOf"] = present
    schemas["ClassifyRequest"] = request
    schemas["Problem"] = {
        "type": "object",
        "description": "RFC 9457 problem details. `errors` lists field and rule; nothing repeats what was sent.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "rule", "detail"],
                    "properties": {name: {"type": "string"} for name in ("field", "rule", "detail")},
                },
            },
            "violated-policies": {"type": "array", "items": {"type": "string"}},
        },
    }
    return schemas


def _bounds(policy: Policy) -> dict[str, object]:
    """The fields whose room the policy decides. A tier may be held to less: 403 for a policy, 413 for a size."""
    limits = [tier.limits for tier in policy.tiers.values()]
    text = {"type": "string", "minLength": 1, "maxLength": max(limit.max_characters for limit in limits)}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": max(limit.max_texts for limit in limits)}
    return {
        "text": {"description": "one text", "default": None, "anyOf": [text, {"type": "null"}]},
        "texts": {"description": "several texts", "default": None, "anyOf": [texts, {"type": "null"}]},
        "policy": {
            "description": "rule set to decide by; default: the tier's",
            "default": None,
            "enum": [*policy.rule_sets, None],
        },
    }


def _security_schemes() -> dict[str, object]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, `wr_…`"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
