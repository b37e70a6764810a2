"""The same attackers and honest callers, a few minutes of them, through the real HTTP service with a real model.

Nothing is virtual here, so time is compressed by a factor: limits are so many times faster and the adaptive times so
many times shorter than in ``serving/policy.yaml``, and so is the traffic. The service is a ``bentoml serve`` process
with its embedded Redis; it runs twice on the same traffic, with limits that adapt and without.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, get_args

import httpx
import yaml

from benchmarks.abuse.attackers import ATTACKERS
from benchmarks.abuse.clock import VirtualClock
from benchmarks.abuse.corpus import Corpus
from benchmarks.abuse.figures import FREE, GroupFigures, group_figures, pooled
from benchmarks.abuse.peers import PlainGcra
from benchmarks.abuse.population import Span, population
from benchmarks.abuse.traffic import MINUTE, SECOND, Actor, Ask, Reply, Sender, Texts
from benchmarks.abuse.world import Run, run
from benchmarks.processes import ROOT, weir
from serving.keys import KeyTable, KeyTier
from serving.policy import load_policy
from serving.principal import Caller
from serving.redis_connection import Connection

POLICY: Final = ROOT / "serving" / "policy.yaml"
START_S: Final = 90.0
RECOVERY: Final = 10 * MINUTE
SHORT: Final = Span(0, 2 * MINUTE, 7 * MINUTE, 8 * MINUTE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: attacks by name, all at the same time, amid honest callers; `speed` times faster than written."""

    attacks: tuple[str, ...] = ("spam", "rotation with attacks", "stuffing")
    speed: float = 10.0
    seed: int = 1
    scale: float = 0.08
    span: Span = SHORT

    def senders(self) -> Iterator[Sender]:
        """Everybody until the end; each attack's own requests under its name."""
        for sender in population(self.seed, self.span, self.scale):
            yield replace(sender, actor=_until(sender.actor, self.span.end_us))
        for name in self.attacks:
            for sender in ATTACKERS[name].senders(Random(f"{self.seed}:{name}"), self.span):
                actor = _until(sender.actor, self.span.end_us)
                yield Sender(name if sender.malicious else sender.group, actor, sender.malicious)


def _until(actor: Actor, end_us: int) -> Actor:
    ask = next(actor, None)
    while ask is not None and ask.at_us < end_us:
        reply = yield ask
        try:
            ask = actor.send(reply)
        except StopIteration:
            return


@dataclass(frozen=True, slots=True)
class AttackThroughService:
    """One attack: requests sent, let in after the first twenty with and without adapting; `room_back` at the end."""

    attack: str
    sent: int
    admitted: int
    plainly: int
    room_back: bool

    @property
    def reduction(self) -> float:
        """Share of what plain limits admit after the first twenty that is kept out."""
        return 1 - self.admitted / self.plainly if self.plainly else 0.0


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """What came of a plan: each attack, the honest groups with all of them as `overall`, and the median answer time."""

    plan: Plan
    bundle: str
    attacks: tuple[AttackThroughService, ...]
    groups: Mapping[str, GroupFigures]
    median_ms: float


async def through_service(plan: Plan, corpus: Corpus, bundle: str = "production") -> ServiceResult:
    """Run the plan through two services, one that adapts and one that does not."""
    adapting, factors, version = await _through(plan, corpus, bundle, mode="enforce")
    plain, _, _ = await _through(plan, corpus, bundle, mode="off")
    return ServiceResult(
        plan,
        version,
        tuple(_attack(name, adapting.run, plain.run, factors[name]) for name in plan.attacks),
        pooled(group_figures(adapting.run, plain.run)),
        sorted(adapting.answer_ms)[len(adapting.answer_ms) // 2],
    )


def _attack(name: str, adapting: Run, plain: Run, factor: float) -> AttackThroughService:
    ours, theirs = ([fate for fate in each.malicious() if fate.group == name] for each in (adapting, plain))
    admitted, plainly = (sum(fate.reply.admitted for fate in fates[FREE:]) for fates in (ours, theirs))
    return AttackThroughService(name, len(ours), admitted, plainly, factor >= 1)


@dataclass(slots=True)
class _Seen:
    run: Run
    answer_ms: list[float]


async def _through(plan: Plan, corpus: Corpus, bundle: str, *, mode: str) -> tuple[_Seen, dict[str, float], str]:
    """What became of each request, the factor of each attack's callers ten minutes after its end, and the bundle."""
    with tempfile.TemporaryDirectory(prefix="weir-abuse-") as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(yaml.safe_dump(compressed(plan.speed, mode)))
        async with Connection(None, folder / "state") as connection:
            callers = await _callers(plan)
            keys = await _keys(connection, callers)
            with _served(folder, bundle) as port:
                async with _gate(port, plan.speed, corpus, keys) as gate:
                    found = await run(gate, plan.senders())
                    factors = await _factors(gate, plan, found) if mode == "enforce" else {}
                    return _Seen(found, gate.answer_ms), factors, await gate.bundle()


def compressed(speed: float, mode: str) -> dict[str, Any]:
    """The shipped policy with limits `speed` times faster and adaptive times as much shorter."""
    policy: dict[str, Any] = yaml.safe_load(POLICY.read_text())
    for name, tier in policy["tiers"].items():
        knobs = load_policy(POLICY).tier(name).adaptive
        tier["requests_per_minute"] = round(tier["requests_per_minute"] * speed)
        tier["tokens_per_minute"] = round(tier["tokens_per_minute"] * speed)
        tier["on_redis_down"] = "deny"  # what is slow should show, not be judged by half of the limits
        tier["adaptive"] = {
            "mode": mode,
            "cut_interval_s": knobs.cut_interval_s / speed,
            "cool_down_s": knobs.cool_down_s / speed,
            "recovery_s": knobs.recovery_s / speed,
        }
        tier.pop("daily_budget", None)
    return policy


async def _callers(plan: Plan) -> list[Caller]:
    """All who will ask, in the order of their first request. They send the same whatever they are answered."""
    dry = await run(PlainGcra(load_policy(POLICY), VirtualClock()), plan.senders())
    return list(dict.fromkeys(fate.ask.caller for fate in dry.fates))


async def _keys(connection: Connection, callers: list[Caller]) -> dict[Caller, tuple[str | None, str]]:
    """The key, if any, and the address of each caller."""
    table, found = KeyTable(connection), {}
    addresses = {address: number for number, address in enumerate(dict.fromkeys(each.address for each in callers))}
    secrets_of: dict[str, str] = {}
    for caller in callers:
        number = addresses[caller.address]
        secret = None
        if caller.tier in get_args(KeyTier):
            if caller.principal not in secrets_of:
                tier: KeyTier = "internal" if caller.tier == "internal" else "authenticated"
                _, secrets_of[caller.principal] = await table.create(tier=tier, name="simulated", now=time.time())
            secret = secrets_of[caller.principal]
        found[caller] = secret, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return found


class ServiceGate:
    """A running service as a gate of the simulator: each request is sent when its time has come, or at once if late."""

    name = "service"

    def __init__(
        self,
        client: httpx.AsyncClient,
        speed: float,
        corpus: Corpus,
        keys: Mapping[Caller, tuple[str | None, str]],
    ) -> None:
        self._client = client
        self._speed = speed
        self._corpus = corpus
        self._keys = keys
        self._begun_s = time.monotonic()
        self.answer_ms: list[float] = []

    async def ask(self, ask: Ask) -> Reply:
        """As :meth:`Gate.ask`. Raises RuntimeError for an answer that is neither a judgement nor a refusal."""
        await self.until(ask.at_us)
        secret, address = self._keys[ask.caller]
        if not ask.known:
            secret = "wr_" + hashlib.sha256(ask.caller.principal.encode()).hexdigest()[:40]
        headers = {"X-Forwarded-For": address} | ({"X-API-Key": secret} if secret else {})
        sent_s = time.perf_counter()
        answer = await self._client.post("/classify", json={"text": self._corpus.string(ask.text)}, headers=headers)
        self.answer_ms.append((time.perf_counter() - sent_s) * 1000)
        if answer.status_code not in {200, 401, 429}:
            raise RuntimeError(f"the service answered {answer.status_code}: {answer.text[:200]}")
        anomaly = answer.json().get("anomaly", {})
        return Reply(
            answer.status_code != 429,
            int(answer.headers.get("Retry-After", 0)),
            anomaly.get("limit_factor", 1.0),
            anomaly.get("score", 0.0),
        )

    async def until(self, at_us: int) -> None:
        """Wait for a moment of the plan."""
        await asyncio.sleep(max(self._begun_s + at_us / SECOND / self._speed - time.monotonic(), 0))

    async def bundle(self) -> str:
        """The version of the model that answered."""
        return str((await self._client.get("/info")).json()["model"]["version"])


@asynccontextmanager
async def _gate(
    port: int, speed: float, corpus: Corpus, keys: Mapping[Caller, tuple[str | None, str]]
) -> AsyncIterator[ServiceGate]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield ServiceGate(client, speed, corpus, keys)


async def _factors(gate: ServiceGate, plan: Plan, found: Run) -> dict[str, float]:
    """The factor that the last caller of each attack is told with one harmless request; 0 if it is refused."""
    end_us = plan.span.attack_end_us + RECOVERY
    factors = {}
    await gate.until(end_us)
    for name in plan.attacks:
        caller = next(fate.ask.caller for fate in reversed(found.malicious()) if fate.group == name)
        known = any(fate.ask.known for fate in found.malicious() if fate.ask.caller == caller)
        reply = await gate.ask(Ask(end_us, caller, Texts(Random(1)).fresh("same"), 10, known=known))
        factors[name] = reply.factor if reply.admitted else 0.0
    return factors


@contextmanager
def _served(folder: Path, bundle: str) -> Iterator[int]:
    """The service on a free port, with the state and the policy that lie in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")} | {
        "REDIS_URL": "",
        "WEIR_TRUSTED_PROXIES": "127.0.0.0/8",
        "WEIR_ADDRESS_HASH_SECRET": secrets.token_hex(16),
    }
    with weir(folder, bundle, environment, ready=_ready, patience_s=START_S) as port:
        yield port


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False
