"""Servers of a benchmark, each a process on a free port of its own that ends with its block."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


@contextmanager
def weir(
    folder: Path, bundle: str, environment: Mapping[str, str], *, ready: Callable[[int], bool], patience_s: float
) -> Iterator[int]:
    """The service with the policy.yaml and the state of `folder`; the rest as for :func:`process`."""
    own = {
        "WEIR_BUNDLE": bundle,
        "WEIR_POLICY_PATH": str(folder / "policy.yaml"),
        "WEIR_STATE_DIR": str(folder / "state"),
        "WEIR_REDIS_TIMEOUT_S": "1",  # what is slow on a busy machine should show as slow, not as a fallback
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [str(Path(sys.executable).with_name("bentoml")), "serve", "serving.service:Weir", "--host", "127.0.0.1"]
    log = folder / "weir.log"
    with process(command, log, {**environment, **own}, ready=ready, patience_s=patience_s) as port:
        yield port


@contextmanager
def process(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    ready: Callable[[int], bool],
    patience_s: float,
) -> Iterator[int]:
    """Run `command` with `--port` and yield the port once it is `ready`.

    Raises RuntimeError with the end of the log if that takes longer than `patience_s` or the process ends.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with log.open("wb") as output:
        running = subprocess.Popen(
            [*command, "--port", str(port)], cwd=ROOT, env=dict(environment), stdout=output, stderr=output
        )
    try:
        _wait(running, port, log, ready, patience_s)
        yield port
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def _wait(
    running: subprocess.Popen[bytes], port: int, log: Path, ready: Callable[[int], bool], patience_s: float
) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and running.poll() is None:
        if ready(port):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{running.args!r} did not come up:\n{log.read_text()[-2000:]}")
