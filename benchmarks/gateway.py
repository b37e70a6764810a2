"""What the gateway costs around the model: overhead of one request, and throughput on texts of mixed length.

    python -m benchmarks.gateway [--bundle production|DIR] [--rounds N] [--requests N] [--texts N]

Overhead is the client's latency minus the answer's `timings_ms.model`, at concurrency 1, beside a bare Starlette
application and a lean one with the same model (benchmarks/lean.py) in the same run. Throughput is useful tokens per
second of the whole service against a bare loop over `Classifier.predict` on the same texts with as many threads. All
sides are warm and take turns. Results are printed as ratios and written to var/bench/gateway.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.load import ask, ask_all, connect, request_bytes, texts
from benchmarks.processes import process, weir
from models.bundle import BundleError, load_bundle
from models.classifier import Classifier
from models.memory import keep_freed_memory
from models.registry import resolve
from serving.composition import KEPT_BYTES

OUTPUT: Final = Path("var/bench/gateway.json")
CONCURRENCY: Final = 32
START_S: Final = 60.0
POLICY: Final = """
tiers:
  anonymous: &tier
    {requests_per_minute: 5000000, burst: 5000000, tokens_per_minute: 5000000, token_burst: 5000000,
     concurrent: 5000001, max_characters: 100000, max_texts: 100, on_redis_down: deny, policy: default,
     adaptive: {mode: shadow}}
  authenticated: *tier
  internal: *tier
policies:
  default: {input: {injection: {block: fpr_1%}}}
"""


@dataclass(frozen=True)
class Report:
    """Milliseconds and useful tokens per second; ratios are ours over the yardstick's."""

    bundle: str
    threads: int
    overhead_p50_ms: float
    overhead_p99_ms: float
    bare_p50_ms: float
    bare_p99_ms: float
    lean_p50_ms: float
    lean_p99_ms: float
    overhead_ratio_p50: float
    """Over the lean application's."""
    service_tokens_per_s: float
    loop_tokens_per_s: float
    throughput_ratio: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write the report."""
    options = _parser().parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        bundle = _bundle(options.bundle, folder)
        version = load_bundle(bundle).manifest.version
        threads = os.cpu_count() or 1
        gateway = stack.enter_context(_gateway(bundle, folder))
        bare = stack.enter_context(_yardstick("bare", bundle, folder))
        lean = stack.enter_context(_yardstick("lean", bundle, folder))
        measured = _overhead([gateway, bare, lean], options.rounds, options.requests)
        ours, of_bare, of_lean = (measured[port] for port in (gateway, bare, lean))
        service, loop = _throughput(gateway, bundle, threads, options.rounds, options.texts)
    report = Report(
        bundle=version,
        threads=threads,
        overhead_p50_ms=quantile(ours, 0.5),
        overhead_p99_ms=quantile(ours, 0.99),
        bare_p50_ms=quantile(of_bare, 0.5),
        bare_p99_ms=quantile(of_bare, 0.99),
        lean_p50_ms=quantile(of_lean, 0.5),
        lean_p99_ms=quantile(of_lean, 0.99),
        overhead_ratio_p50=round(quantile(ours, 0.5) / quantile(of_lean, 0.5), 2),
        service_tokens_per_s=service,
        loop_tokens_per_s=loop,
        throughput_ratio=round(service / loop, 3),
    )
    _show(report)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(asdict(report), indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="production")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400, help="requests of each side in one round of overhead")
    parser.add_argument("--texts", type=int, default=400, help="texts of each side in one round of throughput")
    return parser


def _bundle(name: str, folder: Path) -> Path:
    try:
        return resolve(name)
    except BundleError as error:
        from tests.tiny_bundle import build_tiny_bundle  # noqa: PLC0415  only where no production bundle exists yet

        print(f"{error}; using the tiny test bundle, whose throughput says nothing about a real model")
        return build_tiny_bundle(folder / "tiny")


def _overhead(ports: Sequence[int], rounds: int, requests: int) -> dict[int, list[float]]:
    """Milliseconds of each request outside the model, by port; the applications take turns."""
    short = [request_bytes(text) for text in texts(requests, seed=1, sigma=0.3)]
    sides: dict[int, list[float]] = {port: [] for port in ports}
    for number in range(rounds + 1):
        for port in ports:
            with connect(port) as connection:
                measured = [_outside_model(connection, request) for request in short]
            if number:  # the first round warms them all
                sides[port] += measured
    return sides


def _outside_model(connection: socket.socket, request: bytes) -> float:
    begun = time.perf_counter()
    answer = ask(connection, request)
    elapsed: float = (time.perf_counter() - begun) * 1000 - answer["timings_ms"]["model"]
    return elapsed


def _throughput(gateway: int, bundle: Path, threads: int, rounds: int, count: int) -> tuple[float, float]:
    """Median useful tokens per second of the service and of the bare loop, in turns on the same texts."""
    mixed = texts(count, seed=2)
    requests = [request_bytes(text) for text in mixed]
    keep_freed_memory(KEPT_BYTES)  # the loop gets every help that the service has
    classifier = Classifier.load(load_bundle(bundle), threads=1)
    tokens = sum(classifier.prepare(text).tokens for text in mixed)
    service, loop = [], []
    for number in range(rounds + 1):
        begun = time.perf_counter()
        asyncio.run(ask_all(gateway, requests, CONCURRENCY))
        between = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda text: classifier.predict([text]), mixed))
        ended = time.perf_counter()
        if number:
            service.append(tokens / (between - begun))
            loop.append(tokens / (ended - between))
    return round(median(service), 1), round(median(loop), 1)


@contextmanager
def _gateway(bundle: Path, folder: Path) -> Iterator[int]:
    (folder / "policy.yaml").write_text(POLICY)
    with weir(folder, str(bundle.resolve()), os.environ, ready=_answers, patience_s=START_S) as port:
        yield port


@contextmanager
def _yardstick(name: str, bundle: Path, folder: Path) -> Iterator[int]:
    factory = f"benchmarks.{name}:create_app"
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--log-level", "warning"]
    environment = {**os.environ, "WEIR_BUNDLE": str(bundle.resolve())}
    with process(command, folder / f"{name}.log", environment, ready=_answers, patience_s=START_S) as port:
        yield port


def _answers(port: int) -> bool:
    try:
        with connect(port) as connection:
            ask(connection, request_bytes("hello"))
    except (OSError, RuntimeError, IndexError, ValueError):
        return False
    return True


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies."""
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 3)


def _show(report: Report) -> None:
    print(f"model {report.bundle}, {report.threads} threads")
    print(f"overhead   p50 {report.overhead_p50_ms:.2f} ms, p99 {report.overhead_p99_ms:.2f} ms (goal: 1.0 and 5)")
    print(f"bare app   p50 {report.bare_p50_ms:.2f} ms, p99 {report.bare_p99_ms:.2f} ms")
    print(
        f"lean app   p50 {report.lean_p50_ms:.2f} ms, p99 {report.lean_p99_ms:.2f} ms with the same model"
        f" -> ratio {report.overhead_ratio_p50}"
    )
    print(
        f"throughput {report.service_tokens_per_s:.0f} tokens/s of {report.loop_tokens_per_s:.0f} in a bare loop"
        f" -> ratio {report.throughput_ratio} (goal: 0.8)"
    )


if __name__ == "__main__":
    sys.exit(main())
