"""Limits that learn, through the real app, model and Redis: contained, explained, counted, and kept over an outage."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest

from serving.anomaly.standing import Standing
from serving.anomaly.state import State
from serving.embedded_redis import EmbeddedRedis
from serving.event_log import FIELD, STREAM
from serving.keys import Key, KeyTable
from serving.principal import address_id
from serving.redis_keys import risk_key
from tests.integration.conftest import GENEROUS, OpenApp, Service
from tests.tiny_bundle import ATTACK, CLEAN

SECRET = "sixteen characters or more"
ABNORMAL = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected"
# A test sends within milliseconds what a campaign sends within seconds, so cuts may follow each other at once; and
# nothing is paid back while it runs, however slowly it does.
SMALL = GENEROUS.replace("requests_per_minute: 60000", "requests_per_minute: 1").replace(" burst: 60000", " burst: 30")
LEARNING = SMALL.replace("    max_texts: 16\n", "    max_texts: 16\n    adaptive: {cut_interval_s: 0}\n")


@pytest.fixture
def opened(open_app: OpenApp, tmp_path: Path) -> Callable[..., object]:
    async def opened(policy: str = LEARNING, **changes: object) -> Service:
        path = tmp_path / "learning.yaml"
        path.write_text(policy)
        return await open_app(policy_path=path, address_hash_secret=SECRET, **changes)

    return opened


Opened = Callable[..., "asyncio.Future[Service]"]


async def ask(service: Service, client: httpx.AsyncClient, text: str = ATTACK, times: int = 1) -> list[httpx.Response]:
    """Ask again and again; what was answered has been learnt from before the next question."""
    answers = []
    for _ in range(times):
        answers.append(await client.post("/classify", json={"text": text}))
        await service.learnt()
    return answers


async def up(service: Service) -> None:
    async with asyncio.timeout(10):
        while service.gateway.connection.state.state != "up":  # noqa: ASYNC110  the breaker sets no event
            await asyncio.sleep(0.02)


async def key(service: Service, name: str) -> tuple[Key, str]:
    return await KeyTable(service.gateway.connection).create(tier="authenticated", name=name, now=0)


async def test_a_campaign_is_contained_within_a_dozen_requests_and_told_why(opened: Opened) -> None:
    service = await opened()
    async with service.client() as client:
        answers = await ask(service, client, times=25)
    admitted = [answer for answer in answers if answer.status_code == 200]
    refused = answers[-1]
    assert len(admitted) <= 12
    assert (refused.status_code, refused.json()["type"]) == (429, ABNORMAL)
    assert refused.json()["violated-policies"] == ["requests"]
    assert int(refused.headers["retry-after"]) > 5
    last = admitted[-1].json()["anomaly"]
    assert last["score"] > 0.8
    assert last["limit_factor"] < 1
    assert next(iter(last["signals"])) == "injection"
    assert admitted[0].json()["anomaly"] == {"score": 0.0, "limit_factor": 1.0, "signals": {}}


async def test_the_policy_header_stays_and_the_room_shrinks(opened: Opened) -> None:
    service = await opened()
    async with service.client() as client:
        answers = await ask(service, client, times=20)
    assert len({answer.headers["ratelimit-policy"] for answer in answers}) == 1
    assert '"requests";q=30;w=1800' in answers[0].headers["ratelimit-policy"]
    assert answers[0].headers["ratelimit"].startswith('"requests";r=29')
    assert re.match(r'"requests";r=0;t=\d{2,}', answers[-1].headers["ratelimit"])


async def test_every_adaptation_is_counted_with_its_reason(opened: Opened) -> None:
    service = await opened()
    async with service.client() as client:
        answers = await ask(service, client, times=25)
        page = (await client.get("/metrics")).text
    refused = sum(answer.status_code == 429 for answer in answers)
    assert service.counted("weir_adaptations_total", level="anonymous", signal="injection") >= 1
    assert service.counted("weir_contained_total", tier="anonymous", mode="enforce") == refused
    assert service.counted("weir_limited_total", tier="anonymous", limit="requests") == refused
    assert service.counted("weir_observations_total", fate="observed") == 25 - refused
    assert "weir_lowered_callers 1.0" in page


async def test_the_event_keeps_score_signals_and_factor(opened: Opened) -> None:
    service = await opened()
    async with service.client() as client:
        await ask(service, client, times=9)
    await service.gateway.event_log.flush()
    entries = await service.gateway.connection.execute("XRANGE", STREAM, "-", "+")
    events = [orjson.loads(dict(zip(fields[::2], fields[1::2], strict=True))[FIELD.encode()]) for _, fields in entries]
    assert [event["anomaly"] for event in events] == sorted(event["anomaly"] for event in events)
    assert events[-1]["anomaly"] > 0.8
    assert events[-1]["signals"]["injection"] > 0.8
    assert events[-1]["limit_factor"] < 1


async def test_a_person_who_trips_a_filter_once_is_not_limited(opened: Opened) -> None:
    service = await opened()
    async with service.client() as client:
        answers = await ask(service, client, ATTACK) + await ask(service, client, CLEAN, times=20)
    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json()["anomaly"]["limit_factor"] == 1


async def test_a_colleague_with_a_history_at_the_attackers_address_keeps_all_room(opened: Opened) -> None:
    service = await opened()
    (_, secret), (_, accomplices), (colleague, other), (_, newest) = [await key(service, name) for name in "abcd"]
    known = State(Standing(since_us=1, good=50, seen_us=1))
    await service.gateway.connection.execute("SET", risk_key(colleague.principal), known.pack())

    async def asks(secret: str, text: str, times: int) -> list[httpx.Response]:
        async with service.client(**{"X-API-Key": secret}) as client:
            return await ask(service, client, text, times=times)

    assert (await asks(secret, ATTACK, 25))[-1].status_code == 429
    assert (await asks(newest, CLEAN, 1))[-1].status_code == 200  # one key alone does not accuse its address
    assert (await asks(accomplices, ATTACK, 25))[-1].status_code == 429
    assert {answer.status_code for answer in await asks(other, CLEAN, 20)} == {200}
    strange = await asks(newest, CLEAN, 5)
    assert strange[-1].json()["type"] == ABNORMAL  # a stranger, where attacks have just come from two keys


@pytest.mark.parametrize(
    "foreign",
    [{"messages": [{"role": "tool", "content": ATTACK}]}, {"text": ATTACK, "direction": "output"}],
)
async def test_an_agent_is_not_contained_for_what_others_send_it_or_its_model_answers(
    opened: Opened, foreign: dict[str, object]
) -> None:
    service = await opened()
    _, secret = await key(service, "agent")
    async with service.client(**{"X-API-Key": secret}) as client:
        for _ in range(25):
            answer = await client.post("/classify", json=foreign)
            assert answer.status_code == 200
            await service.learnt()
    assert answer.json()["anomaly"]["signals"].keys() <= {"rate"}
    assert answer.json()["anomaly"]["limit_factor"] == 1


async def test_a_sender_without_a_key_behind_an_attacking_keys_address_keeps_all_room(opened: Opened) -> None:
    service = await opened()
    _, secret = await key(service, "a")
    async with service.client(**{"X-API-Key": secret}) as client:
        assert (await ask(service, client, times=25))[-1].status_code == 429
    async with service.client() as client:
        assert {answer.status_code for answer in await ask(service, client, CLEAN, times=10)} == {200}


async def test_who_has_the_key_feels_its_limit_at_every_address(opened: Opened) -> None:
    service = await opened()
    _, secret = await key(service, "leaked")
    answers = []
    for number in range(25):
        async with service.client(f"192.0.2.{number}", **{"X-API-Key": secret}) as client:
            answers += await ask(service, client)
    assert sum(answer.status_code == 200 for answer in answers) <= 12
    async with service.client("192.0.2.200") as client:
        assert (await ask(service, client, CLEAN))[0].status_code == 200


async def test_keys_that_open_nothing_are_charged_to_their_address_until_it_is_held(opened: Opened) -> None:
    service = await opened()
    answers = []
    for number in range(25):
        async with service.client(**{"X-API-Key": f"wr_{number:043}"}) as client:
            answers += await ask(service, client)
    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    assert answers[-1].json()["type"] == ABNORMAL
    assert service.counted("weir_adaptations_total", level="address", signal="unknown_keys") >= 1


async def test_shadow_mode_learns_and_counts_and_refuses_nobody(opened: Opened) -> None:
    service = await opened(LEARNING.replace("cut_interval_s: 0", "cut_interval_s: 0, mode: shadow"))
    async with service.client() as client:
        answers = await ask(service, client, times=25)
    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json()["anomaly"]["limit_factor"] < 0.01
    assert answers[-1].headers["ratelimit"].startswith('"requests";r=5')
    assert service.counted("weir_contained_total", tier="anonymous", mode="shadow") > 10
    assert service.counted("weir_contained_total", tier="anonymous", mode="enforce") == 0


async def test_a_tier_that_is_off_is_not_even_remembered(opened: Opened) -> None:
    service = await opened(LEARNING.replace("cut_interval_s: 0", "mode: off"))
    async with service.client() as client:
        answers = await ask(service, client, times=25)
    assert {answer.status_code for answer in answers} == {200}
    assert await service.gateway.connection.execute("KEYS", "weir:risk:*") == []


async def test_learning_takes_one_call_after_the_answer_and_delays_none(opened: Opened) -> None:
    service = await opened()

    async def calls() -> int:
        stats = (await service.gateway.connection.execute("INFO", "commandstats")).decode()
        return sum(int(found) for found in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", stats))

    async with service.client() as client:
        await ask(service, client, CLEAN, times=2)
        before = await calls()
        async with service.gateway.watcher._learning:
            assert (await client.post("/classify", json={"text": CLEAN})).status_code == 200
            assert await calls() - before == 1
        await service.learnt()
        assert await calls() - before == 2


async def test_an_outage_and_an_emptied_redis_free_nobody(
    opened: Opened, server: EmbeddedRedis, tmp_path: Path
) -> None:
    service = await opened(redis_url=server.url)
    await up(service)
    async with service.client() as client:
        await ask(service, client, times=25)
        server.stop()
        without = await ask(service, client, times=4)
        shutil.rmtree(tmp_path / "redis")
        server.ensure()
        await up(service)
        emptied = await ask(service, client, times=4)
    assert {(answer.status_code, answer.json()["type"]) for answer in without + emptied} == {(429, ABNORMAL)}
    assert service.counted("weir_degraded_total", reason="limits-local") >= 1


async def test_a_redis_that_stalls_holds_up_no_answer_and_the_campaign_is_contained_here(
    opened: Opened, server: EmbeddedRedis
) -> None:
    service = await opened(redis_url=server.url, redis_timeout_s=0.05)
    await up(service)
    async with service.client() as client:
        await ask(service, client, CLEAN)
        assert server.pid
        os.kill(server.pid, signal.SIGSTOP)
        try:
            answers = await ask(service, client, times=25)
        finally:
            os.kill(server.pid, signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[-1].json()["type"] == ABNORMAL
    assert sum(answer.status_code == 200 for answer in answers) <= 12
    assert service.counted("weir_observations_total", fate="local") >= 8


async def test_an_attack_during_an_outage_is_contained_and_stays_so_afterwards(
    opened: Opened, server: EmbeddedRedis
) -> None:
    service = await opened(redis_url=server.url)
    await up(service)
    async with service.client() as client:
        seen = State(Standing(since_us=1, good=1, seen_us=1))
        caller = risk_key(address_id("192.0.2.1", SECRET.encode()))
        await service.gateway.connection.execute("SET", caller, seen.pack())
        server.stop()
        during = await ask(service, client, times=25)
        server.ensure()
        await up(service)
        after = await ask(service, client, times=4)
    assert sum(answer.status_code == 200 for answer in during) <= 12
    assert {(answer.status_code, answer.json()["type"]) for answer in after} == {(429, ABNORMAL)}
    assert service.counted("weir_observations_total", fate="local") >= 8
