"""The Prometheus metrics of one process, in a registry of their own.

Every label value comes from a fixed set (a route, an action, a tier of the policy), never from a request, so the
number of series is bounded. Names follow prometheus.io/docs/practices/naming: base units, `_total` for counters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
STAGES: Final = ("limit", "prepare", "queue", "model", "total")

# Geometric, 100 us to 25 s: a limit takes 0.2 ms, a long document on a busy CPU seconds.
_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)


# A prompt of a sentence to a book; a thousandth of a cent to ten units of money.
_TOKENS: Final = (16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576)
_MONEY: Final = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Metrics:
    """Everything this process counts; one object, passed to whoever counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._count_answers()
        self._count_limits()
        self._count_work()
        self._count_surroundings()

    def _count_answers(self) -> None:
        self.requests = Counter(
            "weir_requests", "Requests answered, by route and status.", ("route", "status"), registry=self.registry
        )
        self.decisions = Counter(
            "weir_decisions",
            "Decisions made, by action, direction and tier.",
            ("action", "direction", "tier"),
            registry=self.registry,
        )
        self.category_hits = Counter(
            "weir_category_hits",
            "Categories at or over their operating point, by direction.",
            ("category", "direction"),
            registry=self.registry,
        )
        self.degraded = Counter(
            "weir_degraded",
            "Times that something worked in its fallback, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.disconnected = Counter(
            "weir_disconnected",
            "Callers that left before their answer; their work was dropped.",
            registry=self.registry,
        )

    def _count_limits(self) -> None:
        self.limited = Counter(
            "weir_limited", "Requests over a limit, by tier and limit.", ("tier", "limit"), registry=self.registry
        )
        self.contained = Counter(
            "weir_contained",
            "Requests refused because of a lowered limit (enforce), or that would have been (shadow), by tier.",
            ("tier", "mode"),
            registry=self.registry,
        )
        self.adaptations = Counter(
            "weir_adaptations",
            "Times that a limit factor was cut, by level (principal or address) and leading signal.",
            ("level", "signal"),
            registry=self.registry,
        )
        self.observations = Counter(
            "weir_observations",
            "Judged texts and refused keys that limits learn from, by what became of them.",
            ("fate",),
            registry=self.registry,
        )
        self.lowered_callers = Gauge(
            "weir_lowered_callers",
            "Principals and addresses whose factor is known to be lowered.",
            registry=self.registry,
        )

    def _count_work(self) -> None:
        self.stage = Histogram(
            "weir_stage_seconds",
            "Time of one request in each stage.",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = {name: self.stage.labels(name) for name in STAGES}
        self.tokens = Counter("weir_tokens_scanned", "Tokens that the model read.", registry=self.registry)
        self.windows = Counter("weir_windows", "Windows that the model read.", registry=self.registry)
        self.query_tokens = Histogram(
            "weir_query_tokens",
            "Tokens that one request was charged, by policy.",
            ("policy",),
            buckets=_TOKENS,
            registry=self.registry,
        )
        self.query_cost = Histogram(
            "weir_query_cost",
            "Money that one request was charged, by policy, in the policy file's currency.",
            ("policy",),
            buckets=_MONEY,
            registry=self.registry,
        )
        self.incomplete = Counter(
            "weir_incomplete_scans", "Texts of which some token was not scanned.", registry=self.registry
        )
        self.unreadable = Counter(
            "weir_unreadable_texts", "Texts of which the model cannot read too many letters.", registry=self.registry
        )
        self.queue_tokens = Gauge("weir_queue_tokens", "Tokens that wait for the model.", registry=self.registry)
        self.queue_capacity = Gauge("weir_queue_capacity_tokens", "Tokens that may wait.", registry=self.registry)
        self.overloaded = Counter("weir_overloaded", "Requests refused by a full queue.", registry=self.registry)
        self.failures = Counter(
            "weir_judgement_failures", "Texts that could not be judged, by reason.", ("reason",), registry=self.registry
        )

    def _count_surroundings(self) -> None:
        self.events = Counter("weir_events", "Events, by where they went.", ("fate",), registry=self.registry)
        self.event_backlog = Gauge("weir_event_backlog", "Events that wait to be written.", registry=self.registry)
        self.redis_up = Gauge("weir_redis_up", "1 while Redis answers.", registry=self.registry)
        self.breaker_open = Gauge(
            "weir_redis_breaker_open", "1 while Redis is left alone after failures.", registry=self.registry
        )
        self.ready = Gauge("weir_ready", "1 while a verified model is live.", registry=self.registry)
        self.model_loads = Counter(
            "weir_model_loads", "Bundles loaded, by what became of them.", ("result",), registry=self.registry
        )
        self.model = Info("weir_model", "The live model.", registry=self.registry)
        self.build = Info("weir_build", "This program.", registry=self.registry)

    def observe_stages(self, timings_s: Iterable[tuple[str, float]]) -> None:
        """Record how long one request spent in each stage, in seconds."""
        for stage, seconds in timings_s:
            self.stages[stage].observe(seconds)

    def render(self) -> bytes:
        """The text that a Prometheus server scrapes."""
        return generate_latest(self.registry)
