"""The real service in this process: tiny bundle, real Redis (embedded), real ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from serving.app import create_app
from serving.composition import open_gateway
from serving.embedded_redis import EmbeddedRedis
from serving.gateway import Gateway
from serving.settings import Settings
from tests.tiny_bundle import build_tiny_bundle

OpenApp = Callable[..., Awaitable["Service"]]

GENEROUS = """
tiers:
  anonymous: &tier
    requests_per_minute: 60000
    burst: 60000
    tokens_per_minute: 6000000
    token_burst: 6000000
    concurrent: 60001
    max_characters: 20000
    max_texts: 16
    on_redis_down: local
    policy: default
    allowed_policies: [default, strict]
  authenticated: *tier
  internal: *tier
policies:
  default:
    block_message: Stopped.
    input:
      injection: {block: fpr_1%}
      hate: {flag: fpr_1%}
    output:
      hate: {flag: fpr_1%}
  strict:
    input:
      injection: {block: fpr_5%}
      hate: {block: fpr_5%}
"""


class Service:
    """One running service: its app, its gateway, and clients that talk to it."""

    def __init__(self, app: Starlette) -> None:
        self.app = app

    @property
    def gateway(self) -> Gateway:
        gateway: Gateway = self.app.state.gateway
        return gateway

    def client(self, address: str = "192.0.2.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url="http://weir", headers=headers)

    def counted(self, name: str, **labels: str) -> float:
        """A sample's value as a scrape would show it now."""
        self.gateway.refresh_gauges()
        return self.gateway.metrics.registry.get_sample_value(name, labels) or 0.0

    async def learnt(self) -> None:
        """Wait until everything has been learnt from the answers so far."""
        self.gateway.afterwards.flush()
        await self.gateway.watcher.drain()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def generous_policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(GENEROUS)
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A real Redis server of this test's own."""
    server = EmbeddedRedis(tmp_path / "redis")
    server.ensure()
    yield server
    server.stop()


@pytest.fixture
async def open_app(tmp_path: Path, tiny_bundle: Path, generous_policy: Path) -> AsyncIterator[OpenApp]:
    """Starts services with the given settings; each has its own state folder and so its own Redis."""
    async with AsyncExitStack() as stack:
        number = 0

        async def opened(**changes: object) -> Service:
            nonlocal number
            number += 1
            settings = Settings.model_validate(
                {
                    "redis_url": None,
                    "state_dir": tmp_path / f"state-{number}",
                    "bundle": str(tiny_bundle),
                    "store": str(tmp_path / "store"),
                    "policy_path": generous_policy,
                    "inference_threads": 2,
                    "redis_timeout_s": 1.0,
                    **changes,
                }
            )
            app = create_app(lambda: open_gateway(settings))
            await stack.enter_async_context(app.router.lifespan_context(app))
            return Service(app)

        yield opened


@pytest.fixture
async def service(open_app: OpenApp) -> Service:
    return await open_app()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client
