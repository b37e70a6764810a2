"""One request's way through the service: identify, limit while preparing, judge, decide, remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from starlette.requests import ClientDisconnect, Request

from data.schema import Decision, Direction, Event, Prediction
from models.classifier import Prepared
from serving import admission
from serving.anomaly.evidence import NO_EVIDENCE, weigh_scores
from serving.anomaly.fingerprint import fingerprint, hashed
from serving.anomaly.watcher import RefusedKey, Sighting, Watcher
from serving.body import wait_for_disconnect
from serving.contracts.classify import ClassifyRequest, result_body
from serving.errors import ModelUnavailable, Overloaded, Unauthenticated
from serving.event_log import EventLog
from serving.metrics import Metrics
from serving.model_slot import Live, ModelSlot
from serving.policy import Policy
from serving.principal import Caller, Identity, presented_secret
from serving.ratelimit.answers import Admission
from serving.ratelimit.limiter import RateLimiter
from serving.redis_connection import Connection
from serving.scheduler import Judged, Scheduler
from serving.settings import Settings
from serving.tier import Tier

INLINE_TOKENS: Final = 500  # about 2,000 bytes, prepared in about a millisecond; more goes to a thread


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: the JSON document and the headers."""

    body: Mapping[str, object]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Asking:
    """What the texts of one request have in common."""

    caller: Caller
    tier: Tier
    asked: ClassifyRequest
    direction: Direction
    granted: Admission
    limit_s: float
    total_s: float

    def event(self, event_id: str, now: float, prediction: Prediction, judged: Judged, decision: Decision) -> Event:
        """What is remembered of one text; without the text, which the tier's `log_text` decides about."""
        seconds = {
            "limit": self.limit_s,
            "queue": judged.queue_s,
            "model": judged.model_s,
            "total": self.total_s,
        }
        return Event(
            id=event_id,
            time=now,
            request_id=self.asked.request_id,
            principal=self.caller.principal,
            tier=self.caller.tier,
            address=self.caller.address,
            user=self.asked.user,
            direction=self.direction,
            action=decision.action,
            categories=tuple(category for category, found in decision.categories.items() if found),
            scores=prediction.scores,
            reasons=decision.reasons,
            coverage=prediction.coverage,
            changes=prediction.changes,
            anomaly=self.granted.anomaly,
            signals=self.granted.signals,
            limit_factor=self.granted.factor,
            model_version=prediction.model_version,
            cluster=prediction.cluster,
            policy=decision.policy,
            policy_version=decision.policy_version,
            timings_ms={stage: value * 1000 for stage, value in seconds.items()},
        )


@dataclass(slots=True)
class Gateway:
    """Everything that answering takes, built once by `serving.composition` and the same for every request."""

    settings: Settings
    metrics: Metrics
    policy: Policy
    connection: Connection
    identity: Identity
    limiter: RateLimiter
    slot: ModelSlot
    scheduler: Scheduler
    event_log: EventLog
    watcher: Watcher
    new_id: Callable[[str], str]
    now: Callable[[], float] = time.time
    _afterwards: set[asyncio.Task[None]] = field(default_factory=set)

    async def classify(self, request: Request, asked: ClassifyRequest, started: float) -> Answer:
        """Judge the texts of one request and decide. `started` is when it arrived, on `time.perf_counter`.

        Raises a Problem for every answer that is not a judgement, and ClientDisconnect when the caller left.
        """
        live = self.slot.current
        if live is None:
            raise ModelUnavailable
        caller = await self._identify(request, live.policy.policy)
        tier = live.policy.policy.tier(caller.tier)
        texts = asked.judged_texts()
        rule_set = admission.chosen_policy(live.policy.policy, tier, asked.policy)
        admission.check_size(tier, texts)
        lease = self.new_id("lea")
        costs = admission.costs(texts, live.policy.policy.rule_sets[rule_set].price_per_1k_tokens)
        charging = asyncio.create_task(self._charge(caller, tier, costs, lease))
        try:
            await asyncio.sleep(0)  # lets the call to Redis leave before the tokeniser takes the thread
            # A long text waits for the limit's answer, or a caller without quota would get it tokenised for nothing.
            short = costs[admission.TOKENS] <= INLINE_TOKENS
            if short:
                prepared, prepare_s = _prepare(live, texts)
            granted, limit_s = await charging
            admission.require(granted, tier, self.metrics)
            if not short:
                prepared, prepare_s = await asyncio.to_thread(_prepare, live, texts)
            judged = await self._judge(request, live, prepared)
        finally:
            self._after(self._release(caller, lease, charging))
        total_s = time.perf_counter() - started
        self._observe(judged, limit_s, prepare_s, total_s)
        admission.count_cost(self.metrics, rule_set, costs)
        asking = _Asking(caller, tier, asked, asked.judged_direction(), granted, limit_s, total_s)
        results = [self._decide(live, asking, rule_set, text, each) for text, each in zip(texts, judged, strict=True)]
        headers = admission.headers(granted)
        if asked.request_id is not None:
            headers["X-Request-ID"] = asked.request_id
        return Answer(results[0] if asked.texts is None else {"results": results}, headers)

    def refresh_gauges(self) -> None:
        """Bring the gauges up to date that nobody pushes."""
        self.metrics.queue_tokens.set(self.scheduler.queued_tokens)
        self.metrics.queue_capacity.set(self.scheduler.capacity_tokens)
        self.metrics.event_backlog.set(self.event_log.backlog)
        self.metrics.lowered_callers.set(self.watcher.lowered)
        self.metrics.ready.set(self.slot.current is not None)

    async def finish(self) -> None:
        """Wait for what still runs after its answer."""
        while self._afterwards:
            await asyncio.gather(*self._afterwards, return_exceptions=True)
        await self.watcher.drain()

    async def _identify(self, request: Request, policy: Policy) -> Caller:
        """The caller. A key that opens nothing is charged to its address, or keys could be tried without end."""
        peer = request.client.host if request.client else None
        try:
            return await self.identity.identify(request.headers, peer)
        except Unauthenticated:
            tier = policy.tier("anonymous")
            address = await self.identity.address(request.headers, peer)
            granted = await self.limiter.hit(
                address, admission.refused_keys(tier), {}, adaptive=tier.adaptive, on_redis_down="local"
            )
            admission.require(granted, tier, self.metrics)
            self.watcher.saw(RefusedKey(address, hashed(presented_secret(request.headers) or "")))
            raise

    async def _charge(
        self, caller: Caller, tier: Tier, costs: Mapping[str, float], lease: str
    ) -> tuple[Admission, float]:
        begun = time.perf_counter()
        granted = await self.limiter.hit(
            caller.principal,
            admission.limits(tier),
            costs,
            concurrent=tier.limits.concurrent,
            lease_id=lease,
            adaptive=tier.adaptive,
            address=caller.address,
            on_redis_down=tier.on_redis_down,
        )
        return granted, time.perf_counter() - begun

    async def _judge(self, request: Request, live: Live, prepared: Sequence[Prepared]) -> list[Judged]:
        """Judge, but stop as soon as nobody waits for the answer. Raises ClientDisconnect then."""
        asking = asyncio.current_task()
        leaving = asyncio.create_task(wait_for_disconnect(request))
        left = finished = False

        def stop(_: asyncio.Task[None]) -> None:
            nonlocal left
            if asking is not None and not finished:
                left = True
                asking.cancel()

        leaving.add_done_callback(stop)
        try:
            return await self.scheduler.judge(live.classifier, prepared, self.settings.predict_timeout_s)
        except asyncio.CancelledError:
            if asking is None or not left:
                raise
            asking.uncancel()
            raise ClientDisconnect from None
        except Overloaded:
            self.metrics.overloaded.inc()
            raise
        finally:
            finished = True
            leaving.cancel()

    async def _release(self, caller: Caller, lease: str, charging: asyncio.Task[tuple[Admission, float]]) -> None:
        granted, _ = await charging
        if granted.allowed:
            await self.limiter.release(caller.principal, lease)

    def _after(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    def _decide(self, live: Live, asking: _Asking, rule_set: str, text: str, judged: Judged) -> dict[str, object]:
        """Decide about one judged text, remember it, and write the result."""
        prediction = _with_unread(judged.prediction, asking.asked.unread())
        decision = live.policy.decide(prediction, asking.tier, asking.direction, rule_set)
        event = asking.event(self.new_id("evt"), self.now(), prediction, judged, decision)
        self._watch(live, asking, text, prediction)
        self.event_log.record(event, tier=asking.tier, text=text, embedding=prediction.embedding)
        if not event.coverage.complete:
            self.metrics.incomplete.inc()
        if not event.coverage.legible:
            self.metrics.unreadable.inc()
        self.metrics.decisions.labels(event.action.value, event.direction.value, event.tier).inc()
        for category in event.categories:
            self.metrics.category_hits.labels(category.value, event.direction.value).inc()
        return result_body(
            event.id,
            prediction,
            decision,
            anomaly=event.anomaly,
            signals=event.signals,
            limit_factor=event.limit_factor,
            timings_ms=event.timings_ms,
        )

    def _watch(self, live: Live, asking: _Asking, text: str, prediction: Prediction) -> None:
        """Let the limits learn from one text, once its answer is out."""
        if asking.tier.adaptive.mode == "off":
            return
        caller, own = asking.caller, asking.asked.own_words()
        sighting = Sighting(
            principal=caller.principal,
            address=caller.address,
            knobs=admission.knobs(asking.tier),
            evidence=weigh_scores(prediction.scores, live.policy.thresholds) if own else NO_EVIDENCE,
            tokens=admission.tokens_of(text),
            similarity=prediction.cluster.similarity if own and prediction.cluster else 0.0,
            pattern=fingerprint(prediction.embedding) if own else 0,
            roams=caller.tier == "internal",  # a gateway names its clients' addresses, and there are many
            own=own,
        )
        self.watcher.saw(sighting)

    def _observe(self, judged: Sequence[Judged], limit_s: float, prepare_s: float, total_s: float) -> None:
        self.metrics.observe_stages((("limit", limit_s), ("prepare", prepare_s), ("total", total_s)))
        for each in judged:
            coverage = each.prediction.coverage
            self.metrics.observe_stages((("queue", each.queue_s), ("model", each.model_s)))
            self.metrics.tokens.inc(coverage.scanned)
            self.metrics.windows.inc(coverage.windows)


def _with_unread(prediction: Prediction, parts: int) -> Prediction:
    """The prediction with parts that no model has read in its coverage, so that the policy cannot allow them unseen."""
    if not parts:
        return prediction
    coverage = replace(prediction.coverage, tokens=prediction.coverage.tokens + parts)
    return replace(prediction, coverage=coverage)


def _prepare(live: Live, texts: Sequence[str]) -> tuple[list[Prepared], float]:
    begun = time.perf_counter()
    prepared = [live.classifier.prepare(text) for text in texts]
    return prepared, time.perf_counter() - begun
