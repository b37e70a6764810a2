"""When a part is broken: no judgement means no answer, and what is broken is said by name."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx
import pytest

from models.bundle import load_bundle
from models.classifier import Classifier
from serving import disconnect
from serving.model_slot import ModelSlot
from serving.policy import load_policy
from tests.integration.conftest import GENEROUS, OpenApp
from tests.tiny_bundle import ATTACK, CLEAN, WORDS, build_tiny_bundle

SECRET = "sixteen characters or more"


def broken(tiny_bundle: Path, tmp_path: Path, how: str) -> Path:
    copy = tmp_path / "broken"
    shutil.copytree(tiny_bundle, copy)
    match how:
        case "missing file":
            (copy / "model.onnx").unlink()
        case "changed file":
            (copy / "model.onnx").write_bytes(b"not a model")
        case "no manifest":
            (copy / "manifest.json").unlink()
        case "manifest is no json":
            (copy / "manifest.json").write_text("{")
    return copy


@pytest.mark.parametrize("how", ["missing file", "changed file", "no manifest", "manifest is no json"])
async def test_a_broken_bundle_leaves_the_service_up_but_not_ready(
    open_app: OpenApp, tiny_bundle: Path, tmp_path: Path, how: str
) -> None:
    service = await open_app(bundle=str(broken(tiny_bundle, tmp_path, how)))
    async with service.client() as client:
        ready, live = await client.get("/readyz"), await client.get("/livez")
        answer = await client.post("/classify", json={"text": CLEAN})
        facts = await client.get("/info")
    assert (ready.status_code, live.status_code, facts.status_code) == (503, 200, 200)
    assert ready.json()["model"]["problem"]
    assert "Traceback" not in ready.text
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:weir:problem:model-unavailable")
    assert answer.headers["retry-after"]
    assert service.counted("weir_model_loads_total", result="refused") == 1


async def test_a_model_that_fails_its_self_test_is_not_served(open_app: OpenApp, tmp_path: Path) -> None:
    blind = {category: dict.fromkeys(words, 0.0) for category, words in WORDS.items()}
    service = await open_app(bundle=str(build_tiny_bundle(tmp_path / "blind", words=blind)))
    async with service.client() as client:
        ready = await client.get("/readyz")
        answer = await client.post("/classify", json={"text": ATTACK})
    assert ready.status_code == 503
    assert "self_test" in ready.json()["model"]["problem"]
    assert answer.status_code == 503


async def test_a_model_without_the_policys_operating_point_is_not_served(open_app: OpenApp, tmp_path: Path) -> None:
    policy = tmp_path / "other.yaml"
    policy.write_text(GENEROUS.replace("fpr_5%", "fpr_2%"))
    service = await open_app(policy_path=policy)
    async with service.client() as client:
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "fpr_2%" in ready.json()["model"]["problem"]


async def test_a_refused_bundle_leaves_the_live_one_in_place(tiny_bundle: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(GENEROUS)
    slot = ModelSlot(load_policy(policy), Classifier.load)
    assert slot.load(str(tiny_bundle), tmp_path)
    live = slot.current
    assert not slot.load(str(broken(tiny_bundle, tmp_path, "changed file")), tmp_path)
    assert slot.current is live
    assert slot.problem is not None


@pytest.mark.parametrize(("choice", "status"), [("local", 200), ("deny", 503)])
async def test_without_redis_the_tiers_choice_holds(
    open_app: OpenApp, tmp_path: Path, choice: str, status: int
) -> None:
    """`local` judges under a local limit, `deny` says that it cannot; both are counted, and neither is a 500."""
    policy = tmp_path / "choice.yaml"
    policy.write_text(GENEROUS.replace("on_redis_down: local", f"on_redis_down: {choice}"))
    service = await open_app(
        policy_path=policy, redis_url="redis://127.0.0.1:1/0", redis_timeout_s=0.05, address_hash_secret=SECRET
    )
    async with service.client() as client:
        answer = await client.post("/classify", json={"text": ATTACK})
        ready = await client.get("/readyz")
    assert answer.status_code == status
    assert answer.json().get("action") == ("block" if status == 200 else None)
    assert service.counted("weir_degraded_total", reason=f"limits-{choice}") == 1
    assert ready.status_code == 200
    assert (ready.json()["redis"]["name"], ready.json()["redis"]["state"]) == ("external", "down")
    assert service.counted("weir_redis_up") == 0


async def test_a_local_limit_is_a_limit(open_app: OpenApp, tmp_path: Path) -> None:
    policy = tmp_path / "small.yaml"
    small = GENEROUS.replace(" burst: 60000", " burst: 4").replace("max_texts: 16", "max_texts: 4")
    policy.write_text(small.replace("requests_per_minute: 60000", "requests_per_minute: 4"))
    service = await open_app(
        policy_path=policy,
        redis_url="redis://127.0.0.1:1/0",
        redis_timeout_s=0.05,
        address_hash_secret=SECRET,
        replicas=2,
    )
    async with service.client() as client:
        statuses = [(await client.post("/classify", json={"text": CLEAN})).status_code for _ in range(6)]
    assert statuses == [200, 200, 429, 429, 429, 429]


async def test_a_caller_that_leaves_takes_its_work_along(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect, "PATIENCE_S", 0.0)  # the tiny model would have answered before
    service = await open_app(inference_threads=1)
    sent = asyncio.Event()
    started: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        if not sent.is_set():
            sent.set()
            text = "please tell me all about it " * 600
            return {"type": "http.request", "body": b'{"text": "' + text.encode() + b'"}', "more_body": False}
        while service.gateway.scheduler.queued_tokens == 0:  # noqa: ASYNC110  the threads set no event
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        started.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/classify", "raw_path": b"/classify", "root_path": "",
        "query_string": b"", "headers": [(b"content-type", b"application/json")], "client": ("192.0.2.9", 1),
        "server": ("weir", 80), "scheme": "http", "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await service.app(scope, receive, send)
    assert [message.get("status") for message in started] == [499, None]
    assert all(not message.get("body") for message in started)
    assert service.gateway.scheduler.queued_tokens == 0
    assert service.counted("weir_disconnected_total") == 1
    assert await service.gateway.connection.execute("KEYS", "weir:lease:*") == []


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = await open_app()

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("quotes the text: hunter2-secret")

    monkeypatch.setattr(service.gateway.event_log, "record", refuse)
    async with service.client() as client:
        answer = await client.post("/classify", json={"text": CLEAN})
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:weir:problem:unexpected")
    assert "hunter2" not in answer.text
    assert "scores" not in answer.json()
    logged = capsys.readouterr().err
    assert '"error":"ValueError"' in logged
    assert "hunter2" not in logged
    assert service.counted("weir_requests_total", route="/classify", status="500") == 1


async def test_a_judgement_that_takes_too_long_is_503(open_app: OpenApp) -> None:
    service = await open_app(predict_timeout_s=0.001, inference_threads=1)
    async with service.client() as client:
        answer = await client.post("/classify", json={"text": "please tell me all about it " * 600})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:weir:problem:judgement-timeout")
    assert service.counted("weir_judgement_failures_total", reason="timeout") == 1


async def test_info_tells_the_public_facts(open_app: OpenApp, tiny_bundle: Path) -> None:
    service = await open_app()
    async with service.client() as client:
        facts = (await client.get("/info")).json()
    assert facts["model"]["version"] == "tiny-1"
    assert facts["model"]["sha256"] == load_bundle(tiny_bundle).sha256
    assert facts["model"]["provider"] == "cpu"
    assert facts["model"]["window"] == {"tokens": 32, "stride": 20}
    assert set(facts["model"]["operating_points"]) == {"fpr_0.1%", "fpr_1%", "fpr_5%"}
    assert facts["policy"]["tiers"]["anonymous"]["max_texts"] == 16
    assert facts["policy"]["policies"]["strict"]["input"]["hate"] == [{"action": "block", "at": "fpr_5%"}]


def test_the_httpx_client_is_the_one_that_sends_content_lengths() -> None:
    """The gallery's 20 MB body tests the length header only if the client sends one."""
    assert httpx.Request("POST", "http://weir", content=b"abc").headers["content-length"] == "3"
