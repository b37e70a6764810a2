"""What operators see and do, against a real Redis and through the real app."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving import admission, principals
from serving.anomaly.memory import Memory
from serving.anomaly.rule import Observation
from serving.anomaly.signals import Signal, shares
from serving.anomaly.standing import Knobs
from serving.anomaly.store import RedisStates
from serving.audit import AuditLog
from serving.callers import Callers, NoSuchCallerError
from serving.keys import KeyTable
from serving.policy import load_policy
from serving.principal import address_id, shared_address_secret
from serving.principals import describe
from serving.ratelimit.answers import Reason
from serving.ratelimit.containment import Containment
from serving.ratelimit.limiter import RateLimiter
from serving.ratelimit.limits import Limit
from serving.ratelimit.redis import RedisStorage
from serving.ratelimit.storage import LocalStorage
from serving.redis_connection import Connection, RedisRefused
from serving.tier import Tier
from tests.integration.conftest import OpenApp, Service
from tests.tiny_bundle import CLEAN

ADDRESS = "addr_0123456789abcdef01234567"
ATTACK = Observation(injection=1.0, tokens=100)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Connection]:
    async with Connection(None, tmp_path / "state", timeout_s=5) as connection:
        yield connection


@pytest.fixture
def callers(redis: Connection) -> Callers:
    return Callers(redis, load_policy())


@pytest.fixture
def tier() -> Tier:
    return load_policy().tier("anonymous")


async def misbehave(redis: Connection, tier: Tier, caller: str = ADDRESS) -> None:
    await RedisStates(redis).observe(caller, [ATTACK] * 20, Knobs(tier.adaptive))


async def test_a_caller_that_nobody_saw_has_all_its_room(callers: Callers, tier: Tier) -> None:
    found = await callers.look(ADDRESS, tier)
    assert found.state is None
    assert [row.remaining for row in found.rows] == [5, 10_000, 2_000_000]
    assert "not seen for a day" in describe(found)
    assert await callers.held() == []


async def test_a_lowered_caller_is_shown_with_its_reasons_and_its_room(
    redis: Connection, callers: Callers, tier: Tier
) -> None:
    await misbehave(redis, tier)
    found = await callers.look(ADDRESS, tier)
    assert found.price.lowered
    assert found.rows[0].remaining <= 1
    text = describe(found)
    share = shares(found.standing.signals)[Signal.INJECTION]
    assert re.search(rf"^  injection +1\.00 +{share:.0%}$", text, re.MULTILINE)
    assert "all back within" in text
    assert [each.principal for each in await callers.held()] == [ADDRESS]


async def test_reset_gives_all_room_back_at_once_and_leaves_what_was_spent(
    redis: Connection, callers: Callers, tier: Tier
) -> None:
    await misbehave(redis, tier)
    limiter = RateLimiter(RedisStorage(redis), LocalStorage(lambda: 0))
    await limiter.hit(ADDRESS, admission.limits(tier), admission.costs(["x" * 4_000]), adaptive=tier.adaptive)
    money = Limit("daily-money", 1.0, 100, adaptive=False)  # of a rule that the policy has no more
    await limiter.hit(ADDRESS, [money], {"daily-money": 60})
    await callers.reset(ADDRESS, tier)
    found = await callers.look(ADDRESS, tier)
    assert found.price.factor == 1
    assert found.standing.score == 0
    assert [row.remaining for row in found.rows] == [5, 10_000, 1_999_000]
    assert set(await RedisStorage(redis).debts(ADDRESS)) == {"daily-tokens", "daily-money"}


async def test_a_pin_holds_over_behaviour_until_it_is_lifted(redis: Connection, callers: Callers, tier: Tier) -> None:
    await callers.pin(ADDRESS, 0.5)
    await misbehave(redis, tier)
    assert (await callers.look(ADDRESS, tier)).price.factor == 0.5
    assert "0.5 (pinned)" in describe(await callers.look(ADDRESS, tier))
    await callers.pin(ADDRESS, None)
    assert (await callers.look(ADDRESS, tier)).price.factor < 0.5


async def test_looking_changes_nothing(redis: Connection, callers: Callers, tier: Tier) -> None:
    await misbehave(redis, tier)
    before = {key: await redis.execute("DUMP", key) for key in await redis.execute("KEYS", "*")}
    await callers.look(ADDRESS, tier)
    await callers.held()
    assert {key: await redis.execute("DUMP", key) for key in await redis.execute("KEYS", "*")} == before


async def test_callers_are_named_by_key_by_name_behind_a_key_and_by_address(
    redis: Connection, callers: Callers
) -> None:
    key, _ = await KeyTable(redis).create(tier="internal", name="gateway", now=0)
    assert (await callers.named(key.id))[1].name == "internal"
    assert (await callers.named(f"{key.id}:user@example.org"))[0] == f"{key.id}:user@example.org"
    assert (await callers.named(ADDRESS))[1].name == "anonymous"
    secret = await shared_address_secret(redis)
    assert (await callers.named("192.0.2.7"))[0] == address_id("192.0.2.7", secret)
    assert (await callers.named("2001:db8::1"))[0] == address_id("2001:db8::2", secret)


@pytest.mark.parametrize("text", ["key_0000000000000000", "key_x", "addr_12", "somebody", "", "weir:risk:{x}", "1.2.3"])
async def test_a_caller_that_cannot_be_is_refused_rather_than_banned(callers: Callers, text: str) -> None:
    with pytest.raises(NoSuchCallerError):
        await callers.named(text)


async def test_a_banned_caller_is_refused_at_once_and_others_are_not(open_app: OpenApp) -> None:
    service: Service = await open_app()
    gateway = service.gateway
    callers = Callers(gateway.connection, gateway.policy)
    async with service.client("192.0.2.1") as bad, service.client("192.0.2.2") as good:
        assert (await bad.post("/classify", json={"text": CLEAN})).status_code == 200
        banned, tier = await callers.named("192.0.2.1")
        await callers.pin(banned, 0.0)
        refused = await bad.post("/classify", json={"text": CLEAN})
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:weir:problem:banned"
        assert "retry-after" not in refused.headers
        assert (await good.post("/classify", json={"text": CLEAN})).status_code == 200
        await callers.reset(banned, tier)
        assert (await bad.post("/classify", json={"text": CLEAN})).status_code == 200


async def test_a_pinned_caller_is_slowed_with_the_reason_and_a_stable_policy_header(open_app: OpenApp) -> None:
    service: Service = await open_app()
    callers = Callers(service.gateway.connection, service.gateway.policy)
    async with service.client("192.0.2.1") as client:
        before = await client.post("/classify", json={"text": CLEAN})
        pinned, _ = await callers.named("192.0.2.1")
        await callers.pin(pinned, 0.0001)
        answers = [await client.post("/classify", json={"text": CLEAN}) for _ in range(8)]
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json()["type"].endswith("#abnormal-usage-detected")
    assert refused.headers["ratelimit-policy"] == before.headers["ratelimit-policy"]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEIR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("WEIR_REDIS_URL", raising=False)
    return tmp_path


def test_every_change_is_in_the_audit_log_with_what_was_before(
    command: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = principals._main
    assert run(["ban", ADDRESS, "--reason", "credential stuffing", "--by", "ann"]) == 0
    assert "0 (banned)" in capsys.readouterr().out
    assert run(["pin", ADDRESS, "0.25", "--by", "bob"]) == 0
    assert run(["pin", ADDRESS, "none", "--by", "bob"]) == 0
    assert run(["reset", ADDRESS, "--by", "ann"]) == 0
    assert run(["show", ADDRESS]) == 0
    capsys.readouterr()
    assert run(["log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.split("  ")[1] for line in lines] == ["ann", "bob", "bob", "ann"]
    assert [line.split("  ")[2].strip() for line in lines] == ["reset", "pin none", "pin 0.25", "ban"]
    assert "was factor 0.25" in lines[1]
    assert lines[3].endswith("credential stuffing")


async def test_a_change_that_cannot_be_logged_is_not_made(
    redis: Connection, callers: Callers, tier: Tier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await redis.execute("SET", "weir:{audit}:log", "not a stream")
    options = principals._parser().parse_args(["ban", ADDRESS])
    monkeypatch.setenv("WEIR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(RedisRefused):
        await principals._command(options, principals.Settings())
    assert (await callers.look(ADDRESS, tier)).standing.pin == -1


@pytest.mark.parametrize(
    "arguments",
    [["pin", ADDRESS, "0"], ["pin", ADDRESS, "1.5"], ["pin", ADDRESS, "nan"], ["pin", ADDRESS, "x"],
     ["ban"], ["ban", ADDRESS, "--reason", "two\nlines"]],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        principals._main(arguments)


def test_a_user_without_a_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert principals._parser().parse_args(["show"]).command == "show"
    assert principals._user() == f"uid {os.getuid()}"


async def test_an_address_is_reset_with_its_newcomers(redis: Connection, callers: Callers) -> None:
    states = RedisStates(redis)
    for caller in (ADDRESS, f"{ADDRESS}:newcomers"):
        await states.observe(caller, [Observation(injection=1.0)] * 9, Knobs())
    _, tier = await callers.named(f"{ADDRESS}:newcomers")
    await callers.reset(ADDRESS, tier)
    for caller in (ADDRESS, f"{ADDRESS}:newcomers"):
        state = await states.read(caller)
        assert state
        assert state.standing.score == 0


def test_an_unknown_caller_ends_the_command_with_a_reason(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert principals._main(["ban", "key_0000000000000000"]) == 1
    assert "there is no key key_0000000000000000" in capsys.readouterr().err


async def test_the_audit_log_is_read_latest_first(redis: Connection) -> None:
    assert await AuditLog(redis).latest(5) == []


async def test_a_ban_is_refused_by_the_limiter_in_any_mode(redis: Connection, callers: Callers, tier: Tier) -> None:
    local = LocalStorage(lambda: 0)
    limiter = RateLimiter(RedisStorage(redis), local, containment=Containment(Memory(lambda: 0), local))
    await callers.pin(ADDRESS, 0.0)
    granted = await limiter.hit(ADDRESS, admission.limits(tier), admission.costs(["x"]), adaptive=tier.adaptive)
    assert (granted.allowed, granted.reason) == (False, Reason.BANNED)
