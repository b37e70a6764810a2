"""One request's way through the service: identify, limit while preparing, judge, decide, remember."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from data.schema import Decision, Direction, Event, Prediction
from models.classifier import Prepared
from serving import admission
from serving.afterwards import Afterwards
from serving.anomaly.evidence import NO_EVIDENCE, weigh_scores
from serving.anomaly.fingerprint import fingerprint, hashed
from serving.anomaly.watcher import RefusedKey, Sighting, Watcher
from serving.begun import Begun
from serving.contracts.classify import ClassifyRequest, result_body
from serving.disconnect import WhileConnected
from serving.errors import ModelUnavailable, Overloaded, Problem, Unauthenticated
from serving.event_log import EventLog
from serving.metrics import Metrics
from serving.model_slot import Live, ModelSlot
from serving.policy import Policy
from serving.principal import Caller, Identity, presented_secret
from serving.ratelimit.answers import Admission
from serving.ratelimit.limiter import RateLimiter
from serving.ratelimit.limits import Limit
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
class _Work:
    """What the limits and the model said of one request, and the seconds of two stages."""

    granted: Admission
    headers: dict[str, str]
    judged: Sequence[Judged]
    limit_s: float
    prepare_s: float


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
    afterwards: Afterwards
    new_id: Callable[[str], str]
    now: Callable[[], float] = time.time

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
        costs = admission.costs(texts, live.policy.policy.rule_sets[rule_set].price_per_1k_tokens)
        with WhileConnected(request):
            work = await self._limit_and_judge(live, caller, tier, texts, costs)
        total_s = time.perf_counter() - started
        asking = _Asking(caller, tier, asked, asked.judged_direction(), work.granted, work.limit_s, total_s)
        results = [
            self._decide(live, asking, rule_set, text, judged) for text, judged in zip(texts, work.judged, strict=True)
        ]

        def learn() -> None:
            self.metrics.observe_stages((("limit", work.limit_s), ("prepare", work.prepare_s), ("total", total_s)))
            admission.count_cost(self.metrics, rule_set, costs)
            for text, judged, (event, _) in zip(texts, work.judged, results, strict=True):
                self._count(event)
                self._watch(live, asking, text, judged.prediction)

        self.afterwards.add(learn)
        if asked.request_id is not None:
            work.headers["X-Request-ID"] = asked.request_id
        bodies = [body for _, body in results]
        return Answer(bodies[0] if asked.texts is None else {"results": bodies}, work.headers)

    def refresh_gauges(self) -> None:
        """Bring up to date what nobody pushes: the gauges, and the counts of the last answers."""
        self.afterwards.flush()
        self.metrics.queue_tokens.set(self.scheduler.queued_tokens)
        self.metrics.queue_capacity.set(self.scheduler.capacity_tokens)
        self.metrics.event_backlog.set(self.event_log.backlog)
        self.metrics.lowered_callers.set(self.watcher.lowered)
        self.metrics.ready.set(self.slot.current is not None)

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

    async def _limit_and_judge(
        self, live: Live, caller: Caller, tier: Tier, texts: Sequence[str], costs: Mapping[str, float]
    ) -> _Work:
        """Ask the limits and the model, the one while the other works where that is safe."""
        lease = self.new_id("lea")
        limits = admission.limits(tier)
        charging = Begun(self._charge(caller, tier, limits, costs, lease))
        granted = judging = None
        # A long text is prepared in a thread, and only when the limit has answered.
        short = costs[admission.TOKENS] <= INLINE_TOKENS
        # Who had room a moment ago most likely has; the model need not wait for Redis to say so.
        expected = short and self.limiter.expects_room(caller.principal, limits, costs, tier.limits.concurrent)
        try:
            if expected:
                prepared, prepare_s = _prepare(live, texts)
                with contextlib.suppress(Problem):  # the limit is heard first, and then the queue is asked again
                    judging = Begun(self._judge(live, prepared))
            granted, limit_s = await charging
            admission.require(granted, tier, self.metrics)
            if not expected:
                prepared, prepare_s = _prepare(live, texts) if short else await asyncio.to_thread(_prepare, live, texts)
            judging = judging or Begun(self._judge(live, prepared))
            headers = admission.headers(granted)  # while the model reads
            return _Work(granted, headers, await judging, limit_s, prepare_s)
        except Overloaded:
            self.metrics.overloaded.inc()
            raise
        finally:
            charging.close()
            if judging is not None:
                judging.close()
            if granted is None or granted.allowed:
                self.limiter.release(caller.principal, lease)

    async def _charge(
        self, caller: Caller, tier: Tier, limits: Sequence[Limit], costs: Mapping[str, float], lease: str
    ) -> tuple[Admission, float]:
        begun = time.perf_counter()
        granted = await self.limiter.hit(
            caller.principal,
            limits,
            costs,
            concurrent=tier.limits.concurrent,
            lease_id=lease,
            adaptive=tier.adaptive,
            address=caller.address,
            on_redis_down=tier.on_redis_down,
        )
        return granted, time.perf_counter() - begun

    async def _judge(self, live: Live, prepared: Sequence[Prepared]) -> list[Judged]:
        return await self.scheduler.judge(live.classifier, prepared, self.settings.predict_timeout_s)

    def _decide(
        self, live: Live, asking: _Asking, rule_set: str, text: str, judged: Judged
    ) -> tuple[Event, dict[str, object]]:
        """Decide about one judged text, remember it, and write the result."""
        prediction = _with_unread(judged.prediction, asking.asked.unread())
        decision = live.policy.decide(prediction, asking.tier, asking.direction, rule_set)
        event = asking.event(self.new_id("evt"), self.now(), prediction, judged, decision)
        self.event_log.record(event, tier=asking.tier, text=text, embedding=prediction.embedding)
        body = result_body(
            event.id,
            prediction,
            decision,
            anomaly=event.anomaly,
            signals=event.signals,
            limit_factor=event.limit_factor,
            timings_ms=event.timings_ms,
        )
        return event, body

    def _watch(self, live: Live, asking: _Asking, text: str, prediction: Prediction) -> None:
        """Let the limits learn from one text, now that its answer is out."""
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

    def _count(self, event: Event) -> None:
        metrics, coverage = self.metrics, event.coverage
        metrics.observe_stages((stage, event.timings_ms[stage] / 1000) for stage in ("queue", "model"))
        metrics.tokens.inc(coverage.scanned)
        metrics.windows.inc(coverage.windows)
        if not coverage.complete:
            metrics.incomplete.inc()
        if not coverage.legible:
            metrics.unreadable.inc()
        metrics.decisions.labels(event.action.value, event.direction.value, event.tier).inc()
        for category in event.categories:
            metrics.category_hits.labels(category.value, event.direction.value).inc()


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
