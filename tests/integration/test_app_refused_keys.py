"""Keys that open nothing: nobody may try them without end, whatever state Redis and the address are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.anomaly.store import RedisStates
from serving.principal import address_id
from serving.redis_connection import RedisDown
from tests.integration.conftest import OpenApp
from tests.integration.test_app_abuse import LEARNING, SECRET
from tests.tiny_bundle import CLEAN


async def test_keys_are_not_tried_without_end_from_a_banned_address(open_app: OpenApp, tmp_path: Path) -> None:
    (tmp_path / "learning.yaml").write_text(LEARNING)
    service = await open_app(policy_path=tmp_path / "learning.yaml", address_hash_secret=SECRET)
    address = address_id("192.0.2.1", SECRET.encode())
    async with service.client(**{"X-API-Key": "wr_" + "0" * 43}) as client:
        assert (await client.post("/classify", json={"text": CLEAN})).status_code == 401
        await RedisStates(service.gateway.connection).pin(address, 0)
        assert (await client.post("/classify", json={"text": CLEAN})).status_code == 403


async def test_keys_are_not_tried_without_end_while_redis_is_away(
    open_app: OpenApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "learning.yaml").write_text(LEARNING.replace("on_redis_down: local", "on_redis_down: deny"))
    service = await open_app(policy_path=tmp_path / "learning.yaml", address_hash_secret=SECRET)

    async def away(*_: object) -> None:
        raise RedisDown("away")

    monkeypatch.setattr(service.gateway.limiter._shared, "hit", away)
    async with service.client(**{"X-API-Key": "wr_" + "0" * 43}) as client:
        statuses = [(await client.post("/classify", json={"text": CLEAN})).status_code for _ in range(35)]
    assert statuses == [401] * 30 + [429] * 5
