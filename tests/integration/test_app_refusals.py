"""The gallery of bad requests: each has its problem document, none is a 500, none repeats what was sent."""

from __future__ import annotations

import asyncio
import gzip
import logging
import struct
from collections.abc import AsyncIterator

import httpx
import pytest

from models.classifier import Classifier
from serving.openapi import document
from serving.policy import load_policy
from tests.integration.conftest import OpenApp, Service
from tests.tiny_bundle import CLEAN

JSON = {"Content-Type": "application/json"}
SECRET = "hunter2-secret"


async def chunked(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100_000):
        yield b"x" * 100_000


GALLERY = [
    ("empty", b"", 400, "not-json"),
    ("not-json", b"text=hello", 400, "not-json"),
    ("cut-short", b'{"text": "hunter2-secret', 400, "not-json"),
    ("invalid-utf8", b'{"text": "\xff\xfe hunter2-secret"}', 400, "not-json"),
    ("lone-surrogate", b'{"text": "hunter2-secret \\ud800"}', 400, "not-json"),
    ("deep-nesting", b'{"text":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400, "not-json"),
    ("wrong-type", b'{"text": {"hunter2-secret": 1}}', 422, "invalid-request"),
    ("number", b"12", 422, "invalid-request"),
    ("null", b"null", 422, "invalid-request"),
    ("no-text", b"{}", 422, "invalid-request"),
    ("two-forms", b'{"text": "a", "texts": ["b"]}', 422, "invalid-request"),
    ("empty-text", b'{"text": ""}', 422, "invalid-request"),
    ("unknown-field", b'{"text": "a", "hunter2-secret": 1}', 422, "invalid-request"),
    ("unknown-policy", b'{"text": "a", "policy": "hunter2-secret"}', 422, "invalid-request"),
    ("unknown-direction", b'{"text": "a", "direction": "hunter2-secret"}', 422, "invalid-request"),
    ("body-of-20-mb", b'{"text": "' + b"x" * 20_000_000 + b'"}', 413, "too-large"),
    ("million-characters", b'{"text": "' + b"x" * 1_000_000 + b'"}', 413, "too-large"),
    ("ten-thousand-texts", b'{"texts": [' + b",".join([b'"a"'] * 10_000) + b"]}", 422, "invalid-request"),
]


@pytest.mark.parametrize(("body", "status", "kind"), [row[1:] for row in GALLERY], ids=[row[0] for row in GALLERY])
async def test_a_bad_body_gets_its_problem(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, body: bytes, status: int, kind: str
) -> None:
    answer = await client.post("/classify", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:weir:problem:{kind}"
    assert SECRET not in answer.text
    assert caplog.records == []


async def test_a_body_in_chunks_is_refused_once_it_is_too_long(client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", content=chunked(20_000_000), headers=JSON)
    assert answer.status_code == 413


async def test_a_policy_of_another_tier_is_forbidden(open_app: OpenApp) -> None:
    service = await open_app(policy_path="serving/policy.yaml")
    async with service.client() as client:
        answer = await client.post("/classify", json={"text": CLEAN, "policy": "strict"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:weir:problem:forbidden")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "jsonx", "text/json+x"])
async def test_another_content_type_is_refused(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post("/classify", content=b'{"text": "a"}', headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:weir:problem:unsupported-media-type")


async def test_a_compressed_body_is_refused_by_its_encoding(client: httpx.AsyncClient) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    answer = await client.post("/classify", content=gzip.compress(b'{"text": "a"}'), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:weir:problem:unsupported-media-type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x.y+json"])
async def test_every_way_to_say_json_is_taken(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post("/classify", content=b'{"text": "a"}', headers={"Content-Type": media_type})
    assert answer.status_code == 200


async def test_size_is_looked_at_before_type_and_type_before_content(client: httpx.AsyncClient) -> None:
    large = await client.post("/classify", content=b"x" * 2_000_000, headers={"Content-Type": "text/plain"})
    typed = await client.post("/classify", content=b"not json", headers={"Content-Type": "text/plain"})
    assert (large.status_code, typed.status_code) == (413, 415)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_refused_with_those_that_are_allowed(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/classify")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/classify/", "/classify/x", "/%2e%2e/etc/passwd", "/v1/moderations"])
async def test_an_unknown_path_is_a_problem_and_no_metric_label(service: Service, path: str) -> None:
    async with service.client() as client:
        answer = await client.get(path)
        page = (await client.get("/metrics")).text
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:weir:problem:not-found")
    assert 'route="unmatched",status="404"' in page
    assert "passwd" not in page


@pytest.mark.parametrize("text", ["a\0b", "\0", " ", "\u200b", "\ufeff", "\U0001f600" * 50, "e\u0301" * 300, "\u202e"])
async def test_a_strange_text_is_judged(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post("/classify", json={"text": text})
    assert answer.status_code == 200
    assert len(answer.json()["scores"]) == 7


@pytest.mark.parametrize("headers", [{"X-API-Key": "wr_" + "x" * 43}, {"Authorization": "Bearer nonsense"}])
async def test_an_unknown_key_is_never_taken_for_an_anonymous_caller(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/classify", json={"text": CLEAN}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:weir:problem:unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_over_the_limit_is_429_without_inference(open_app: OpenApp) -> None:
    """With the shipped policy an anonymous address may ask five times at once."""
    service = await open_app(policy_path="serving/policy.yaml")
    async with service.client() as client:
        answers = await asyncio.gather(*(client.post("/classify", json={"text": CLEAN}) for _ in range(20)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(answers) - len(refused) == 5
    problem = refused[0].json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["requests"]
    assert int(refused[0].headers["retry-after"]) > 0
    assert refused[0].headers["ratelimit-remaining"] == "0"
    assert service.counted("weir_windows_total") == 5
    assert service.counted("weir_limited_total", tier="anonymous", limit="requests") == 15


async def test_what_another_replica_used_up_is_429_and_the_judging_begun_for_it_is_dropped(
    open_app: OpenApp,
) -> None:
    service = await open_app()
    async with service.client() as client:
        first = await client.post("/classify", json={"text": CLEAN})
        assert first.status_code == 200  # from now on this process expects room
        redis = service.gateway.connection
        keys = await redis.execute("KEYS", "weir:debts:*")
        now_s = await redis.execute("EVAL", "return redis.call('TIME')[1]", 0)
        await redis.execute("SET", keys[0], b"requests,\0" + struct.pack("<d", (int(now_s) + 3_600) * 1e6))
        refused = await client.post("/classify", json={"text": CLEAN})
    assert refused.status_code == 429
    assert service.gateway.scheduler.queued_tokens == 0
    assert service.counted("weir_decisions_total", action="allow", direction="input", tier="anonymous") == 1
    assert service.counted("weir_events_total", fate="stream") + service.gateway.event_log.backlog == 1


async def test_a_long_text_over_the_limit_is_not_even_tokenised(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await open_app(policy_path="serving/policy.yaml")
    tokenised: list[str] = []
    prepare = Classifier.prepare
    monkeypatch.setattr(Classifier, "prepare", lambda self, text: tokenised.append(text) or prepare(self, text))
    async with service.client() as client:
        long = {"text": "please tell me " * 400}
        statuses = [(await client.post("/classify", json=long)).status_code for _ in range(8)]
    assert statuses.count(429) == 3
    assert len(tokenised) == 5


async def test_a_full_queue_is_503_with_retry_after(open_app: OpenApp) -> None:
    service = await open_app(queue_tokens=512)
    async with service.client() as client:
        texts = ["please tell me all about it " * 40] * 30
        answers = await asyncio.gather(*(client.post("/classify", json={"text": text}) for text in texts))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert refused[0].json()["type"].endswith("#temporary-reduced-capacity")
    assert int(refused[0].headers["retry-after"]) >= 1
    assert service.counted("weir_overloaded_total") == len(refused)


async def test_no_line_is_logged_about_the_text(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with service.client() as client:
        for body in (b'{"text": "hunter2-secret"}', b'{"text": 1, "hunter2-secret": 2}', b"hunter2-secret"):
            await client.post("/classify", content=body, headers=JSON)
    await service.gateway.event_log.flush()
    assert SECRET not in caplog.text


async def test_every_status_of_the_gallery_is_in_the_openapi_document() -> None:
    paths = document(load_policy())["paths"]
    assert isinstance(paths, dict)
    documented = set(paths["/classify"]["post"]["responses"])
    assert {str(row[2]) for row in GALLERY} | {"200", "401", "408", "415", "429", "503"} <= documented
