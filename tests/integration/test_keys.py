"""API keys against a real Redis: made, recognised, disabled, and remembered while Redis is away."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from serving.errors import CannotJudge, InvalidRequest, Unauthenticated
from serving.keys import DisabledKey, KeyRing, KeysUnavailable, KeyTable, UnknownKey, hash_secret, new_secret
from serving.principal import Caller, Identity
from serving.redis_breaker import ANYWHERE
from serving.redis_connection import Connection

NOW = 1_800_000_000.0
PROXY = "10.0.0.1"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Connection]:
    async with Connection(None, tmp_path / "state", timeout_s=2) as connection:
        yield connection


@pytest.fixture
def table(redis: Connection) -> KeyTable:
    return KeyTable(redis)


def ring_of(table: KeyTable, now: float = NOW) -> KeyRing:
    return KeyRing(table, clock=lambda: now, poll_s=0.01)


async def resolved_forever(ring: KeyRing, secret: str) -> None:
    while True:
        await ring.resolve(secret)
        await asyncio.sleep(0)


async def commands_processed(redis: Connection) -> int:
    found = re.search(rb"total_commands_processed:(\d+)", await redis.execute("INFO", "stats"))
    assert found
    return int(found[1])


async def away(redis: Connection) -> None:
    """Redis as it is after a network cut: every call fails at once, and nobody brings it back."""
    assert redis._watch is not None
    redis._watch.cancel()
    redis._breakers.open(ANYWHERE)


def identity_of(redis: Connection, ring: KeyRing, ignored: list[str], secret: bytes | None = b"s") -> Identity:
    return Identity(
        ring, redis, trusted_proxies=[ip_network("10.0.0.0/8")], address_secret=secret, on_ignored=ignored.append
    )


async def test_a_new_key_works_at_once_everywhere(table: KeyTable) -> None:
    ring = ring_of(table)
    await ring.refresh()
    key, secret = await table.create(tier="authenticated", name="a team", now=NOW)
    assert await ring.resolve(secret) == key
    assert key.principal == key.id
    assert re.fullmatch(r"key_[0-9a-f]{16}", key.id)
    assert re.fullmatch(r"wr_[A-Za-z0-9_-]{43}", secret)


async def test_redis_never_holds_the_secret(table: KeyTable, redis: Connection) -> None:
    _, secret = await table.create(tier="internal", name="a gateway", now=NOW)
    stored = await redis.execute("HGETALL", "weir:{keys}:table")
    assert len(stored) == 2
    assert secret.removeprefix("wr_").encode() not in b"".join(stored)


@pytest.mark.parametrize(
    "secret", ["", "wr_", "sk-something", "wr_" + "a" * 42, "wr_" + "é" * 43, "wr_" + "a" * 43 + "\n"]
)
async def test_what_cannot_be_a_key_is_refused_without_asking_redis(
    secret: str, table: KeyTable, redis: Connection
) -> None:
    await away(redis)
    with pytest.raises(UnknownKey):
        await ring_of(table).resolve(secret)


async def test_an_unknown_key_is_refused(table: KeyTable) -> None:
    with pytest.raises(UnknownKey):
        await ring_of(table).resolve(new_secret())


async def test_many_unknown_keys_at_once_share_few_questions_to_redis(table: KeyTable, redis: Connection) -> None:
    ring = ring_of(table)
    before = await commands_processed(redis)
    refused = await asyncio.gather(*(ring.resolve(new_secret()) for _ in range(500)), return_exceptions=True)
    after = await commands_processed(redis)
    assert {type(each) for each in refused} == {UnknownKey}
    assert after - before < 20


async def test_a_disabled_key_is_closed_on_a_replica_that_knew_it(table: KeyTable) -> None:
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    ring = ring_of(table)
    assert await ring.resolve(secret) == key
    polling = asyncio.create_task(ring.run())
    closed = await table.disable(key.id)
    assert closed.disabled
    async with asyncio.timeout(5):
        with pytest.raises(DisabledKey):
            await resolved_forever(ring, secret)
    polling.cancel()


async def test_an_expired_key_is_closed(table: KeyTable) -> None:
    _, secret = await table.create(tier="authenticated", name="n", now=NOW, expires=NOW + 60)
    assert await ring_of(table, NOW + 59).resolve(secret)
    with pytest.raises(DisabledKey):
        await ring_of(table, NOW + 60).resolve(secret)


async def test_disabling_a_key_that_does_not_exist_says_so(table: KeyTable) -> None:
    with pytest.raises(KeyError):
        await table.disable("key_0000000000000000")


async def test_without_redis_known_keys_work_and_others_are_neither_accepted_nor_refused(
    table: KeyTable, redis: Connection
) -> None:
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    ring = ring_of(table)
    await ring.refresh()
    await away(redis)
    assert await ring.resolve(secret) == key
    with pytest.raises(KeysUnavailable):
        await ring.resolve(new_secret())
    with pytest.raises(KeysUnavailable):
        await ring_of(table).resolve(secret)  # a replica that starts while Redis is away


async def test_keys_survive_the_death_of_redis(tmp_path: Path) -> None:
    async with Connection(None, tmp_path, timeout_s=2) as redis:
        key, secret = await KeyTable(redis).create(tier="internal", name="n", now=NOW)
        assert redis.embedded_pid is not None
        os.kill(redis.embedded_pid, signal.SIGKILL)
    async with Connection(None, tmp_path, timeout_s=2) as redis:
        assert await ring_of(KeyTable(redis)).resolve(secret) == key


@pytest.mark.parametrize(
    "record", [b"", b"{}", b"not json", b'{"id": "key_1", "tier": "root", "name": "n", "created": 1}']
)
async def test_a_damaged_record_opens_nothing_and_harms_no_other_key(
    record: bytes, table: KeyTable, redis: Connection
) -> None:
    damaged = new_secret()
    await redis.execute("HSET", "weir:{keys}:table", hash_secret(damaged), record)
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    ring = ring_of(table)
    assert await ring.resolve(secret) == key
    with pytest.raises(UnknownKey):
        await ring.resolve(damaged)


async def test_what_no_key_could_be_stored_under_harms_no_other_key(table: KeyTable, redis: Connection) -> None:
    await redis.execute("HSET", "weir:{keys}:table", b"\xff\xfe", b"\xff")
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    assert await ring_of(table).resolve(secret) == key


class _BrokenOnce(KeyTable):
    """A table whose first reading ends in something that nobody foresaw."""

    broken = True

    async def marker(self) -> bytes | None:
        if self.broken:
            self.broken = False
            raise ValueError("an answer of no known form")
        return await super().marker()


async def test_the_memory_of_keys_is_kept_up_to_date_after_an_unforeseen_error(redis: Connection) -> None:
    table = _BrokenOnce(redis)
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    ring = ring_of(table)
    following = asyncio.create_task(ring.run())
    try:
        async with asyncio.timeout(5):
            while hash_secret(secret) not in ring._keys:  # noqa: ASYNC110  memory has no event to wait for
                await asyncio.sleep(0.01)
    finally:
        following.cancel()
    assert await ring.resolve(secret) == key


async def test_a_redis_that_refuses_the_commands_is_a_redis_that_cannot_say(table: KeyTable, redis: Connection) -> None:
    await redis.execute("LPUSH", "weir:{keys}:marker", "another program's list")
    with pytest.raises(KeysUnavailable):
        await ring_of(table).resolve(new_secret())


async def test_a_table_larger_than_one_step_is_read_whole(table: KeyTable) -> None:
    made = [await table.create(tier="authenticated", name=str(number), now=NOW) for number in range(1200)]
    ring = ring_of(table)
    await ring.refresh()
    assert [await ring.resolve(secret) for _, secret in made] == [key for key, _ in made]


async def test_a_caller_with_a_key_is_that_key_wherever_it_calls_from(redis: Connection, table: KeyTable) -> None:
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    identity = identity_of(redis, ring_of(table), [])
    at_home = await identity.identify(Headers({"Authorization": f"Bearer {secret}"}), "203.0.113.1")
    elsewhere = await identity.identify(Headers({"X-API-Key": secret}), "203.0.113.2")
    assert (at_home.principal, at_home.tier) == (elsewhere.principal, elsewhere.tier) == (key.id, "authenticated")
    assert at_home.address != elsewhere.address


async def test_a_caller_without_a_key_is_its_address(redis: Connection, table: KeyTable) -> None:
    caller = await identity_of(redis, ring_of(table), []).identify(Headers({}), "203.0.113.1")
    assert caller == Caller(principal=caller.address, tier="anonymous", address=caller.address)


async def test_a_bad_key_is_refused_and_never_anonymous(redis: Connection, table: KeyTable) -> None:
    identity = identity_of(redis, ring_of(table), [])
    with pytest.raises(Unauthenticated):
        await identity.identify(Headers({"X-API-Key": new_secret()}), "203.0.113.1")
    await away(redis)
    with pytest.raises(CannotJudge, match="key cannot be checked"):
        await identity.identify(Headers({"X-API-Key": new_secret()}), "203.0.113.1")


async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(redis: Connection, table: KeyTable) -> None:
    ignored: list[str] = []
    identity = identity_of(redis, ring_of(table), ignored)
    forwarded = Headers({"X-Forwarded-For": "203.0.113.9"})
    direct = await identity.identify(Headers({}), "203.0.113.9")
    assert await identity.identify(forwarded, PROXY) == direct
    assert ignored == []
    assert await identity.identify(forwarded, "198.51.100.1") != direct
    assert ignored == ["x-forwarded-for"]


async def test_an_internal_key_may_name_the_end_caller(redis: Connection, table: KeyTable) -> None:
    key, secret = await table.create(tier="internal", name="gateway", now=NOW)
    identity = identity_of(redis, ring_of(table), [])
    headers = Headers({"X-API-Key": secret, "X-Weir-Principal": "alice", "X-Forwarded-For": "203.0.113.9"})
    caller = await identity.identify(headers, "198.51.100.1")
    assert (caller.principal, caller.tier) == (f"{key.id}:alice", "internal")
    assert caller.address == (await identity.identify(Headers({}), "203.0.113.9")).address


@pytest.mark.parametrize("name", ["", "a" * 129, "with space", "{tag}", "ä", "new\nline"])
async def test_a_malformed_principal_of_an_internal_key_is_an_error(
    name: str, redis: Connection, table: KeyTable
) -> None:
    _, secret = await table.create(tier="internal", name="gateway", now=NOW)
    with pytest.raises(InvalidRequest, match="X-Weir-Principal"):
        await identity_of(redis, ring_of(table), []).identify(
            Headers({"X-API-Key": secret, "X-Weir-Principal": name}), PROXY
        )


async def test_a_client_cannot_speak_before_the_gateway_that_names_it(redis: Connection, table: KeyTable) -> None:
    _, secret = await table.create(tier="internal", name="gateway", now=NOW)
    named = [(b"x-weir-principal", b"somebody-else"), (b"x-weir-principal", b"alice")]
    with pytest.raises(InvalidRequest, match="more than once"):
        await identity_of(redis, ring_of(table), []).identify(
            Headers(raw=[(b"x-api-key", secret.encode()), *named]), PROXY
        )


async def test_an_address_secret_that_did_not_stay_identifies_nobody(redis: Connection, table: KeyTable) -> None:
    await redis.execute("SET", "weir:{keys}:address-secret", b"")
    with pytest.raises(CannotJudge):
        await identity_of(redis, ring_of(table), [], secret=None).identify(Headers({}), "203.0.113.1")


async def test_nobody_else_may_name_another_caller(redis: Connection, table: KeyTable) -> None:
    key, secret = await table.create(tier="authenticated", name="n", now=NOW)
    ignored: list[str] = []
    identity = identity_of(redis, ring_of(table), ignored)
    keyed = await identity.identify(Headers({"X-API-Key": secret, "X-Weir-Principal": "alice"}), PROXY)
    anonymous = await identity.identify(Headers({"X-Weir-Principal": key.id}), "203.0.113.1")
    assert keyed.principal == key.id
    assert anonymous.principal == anonymous.address
    assert ignored == ["x-weir-principal", "x-weir-principal"]


async def test_replicas_of_one_redis_give_an_address_the_same_id(redis: Connection, table: KeyTable) -> None:
    one, two = (identity_of(redis, ring_of(table), [], secret=None) for _ in range(2))
    assert await one.identify(Headers({}), "203.0.113.1") == await two.identify(Headers({}), "203.0.113.1")


async def test_until_redis_was_reached_once_nobody_is_identified(redis: Connection, table: KeyTable) -> None:
    identity = identity_of(redis, ring_of(table), [], secret=None)
    await away(redis)
    with pytest.raises(CannotJudge, match="cannot be identified"):
        await identity.identify(Headers({}), "203.0.113.1")


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "WEIR_STATE_DIR": str(tmp_path / "state")}
        environment.pop("REDIS_URL", None)
        return subprocess.run(
            [sys.executable, "-m", "serving.keys", *arguments],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_the_commands_make_show_and_close_a_key(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    made = command("create", "--tier", "authenticated", "--name", "a team", "--expires", "90d")
    secret = made.stdout.strip()
    assert re.fullmatch(r"wr_[A-Za-z0-9_-]{43}", secret)
    listed = command("list").stdout
    assert "a team" in listed
    assert "active" in listed
    assert secret not in listed
    key_id = listed.split()[0]
    assert command("disable", key_id).returncode == 0
    assert "disabled" in command("list").stdout
    unknown = command("disable", "key_none")
    assert (unknown.returncode, unknown.stderr) == (1, "there is no key key_none\n")


async def test_the_commands_reach_the_redis_of_a_running_service(
    redis: Connection, table: KeyTable, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    ring = ring_of(table)
    await ring.refresh()
    made = await asyncio.to_thread(command, "create", "--tier", "internal", "--name", "n")
    assert (await ring.resolve(made.stdout.strip())).tier == "internal"


async def test_a_lost_last_second_of_redis_cannot_hide_a_change(table: KeyTable, redis: Connection) -> None:
    """A counter would come back to the same number with another table behind it."""
    _, first = await table.create(tier="authenticated", name="1", now=NOW)
    ring = ring_of(table)
    await ring.refresh()
    await redis.execute("DEL", "weir:{keys}:table", "weir:{keys}:marker")
    _, second = await table.create(tier="authenticated", name="2", now=NOW)
    await ring.refresh()
    assert await ring.resolve(second)
    with pytest.raises(UnknownKey):
        await ring.resolve(first)
