"""The service as it is deployed: a real `bentoml serve` process with its workers and its embedded Redis."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.tiny_bundle import build_tiny_bundle

ROOT = Path(__file__).parents[2]
GENEROUS = """
tiers:
  anonymous: &tier
    requests_per_minute: 600000
    burst: 600000
    tokens_per_minute: 6000000
    token_burst: 6000000
    concurrent: 600001
    max_characters: 20000
    max_texts: 16
    on_redis_down: deny
    policy: default
  authenticated: *tier
  internal: *tier
policies:
  default: {input: {injection: {block: fpr_1%}}}
"""
START_S = 60.0


class Server:
    """One running service and everything that belongs to it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self.state_dir = folder / "state"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WEIR_")},
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "REDIS_URL": "",
            "WEIR_STATE_DIR": str(self.state_dir),
            **environment,
        }
        self._start()

    def _start(self) -> None:
        command = [Path(sys.executable).with_name("bentoml"), "serve", "serving.service:Weir"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for("/livez")

    def wait_for(self, path: str, status: int = 200, within_s: float = START_S) -> httpx.Response:
        """The first answer with that status; AssertionError with the log when it does not come in time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                answer = httpx.get(self.url + path, timeout=5)
                if answer.status_code == status:
                    return answer
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer {status}:\n{self.log.read_text()[-4000:]}")

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def worker(self) -> psutil.Process:
        return next(
            process for process in self.family() if "_bentoml_impl.worker.service" in " ".join(process.cmdline())
        )

    def redis(self) -> psutil.Process:
        return next(process for process in self.family() if process.name() == "redis-server")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)

    def restart(self) -> None:
        self.stop()
        self._start()

    def create_key(self, tier: str) -> str:
        command = [sys.executable, "-m", "serving.keys", "create", "--tier", tier, "--name", "test"]
        made = subprocess.run(
            command, cwd=ROOT, env=self._environment, check=True, capture_output=True, text=True, timeout=60
        )
        return made.stdout.split()[0]

    def end(self) -> None:
        """Whatever is left of it goes."""
        left = self.family() if self.process.poll() is None else []
        self.stop()
        for process in left:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def generous_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy whose limits no test reaches, and which denies without Redis."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(GENEROUS)
    return path


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[StartServer]:
    """Starts services with the given WEIR_ settings; all of them are gone after the module."""
    servers: list[Server] = []

    def started(**settings: str) -> Server:
        environment = {"WEIR_BUNDLE": str(tiny_bundle), "WEIR_REDIS_TIMEOUT_S": "0.5"}
        environment |= {f"WEIR_{name.upper()}": value for name, value in settings.items()}
        server = Server(tmp_path_factory.mktemp("server"), environment)
        servers.append(server)
        return server

    yield started
    for server in servers:
        server.end()
