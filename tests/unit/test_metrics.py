"""Metrics: one registry for each object, Prometheus naming, labels from fixed sets."""

from __future__ import annotations

from serving.metrics import STAGES, Metrics


def test_two_objects_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.overloaded.inc()
    assert one.registry.get_sample_value("weir_overloaded_total") == 1
    assert other.registry.get_sample_value("weir_overloaded_total") == 0


def test_each_stage_is_a_histogram_in_seconds() -> None:
    metrics = Metrics()
    metrics.observe_stages((stage, 0.002) for stage in STAGES)
    for stage in STAGES:
        assert metrics.registry.get_sample_value("weir_stage_seconds_count", {"stage": stage}) == 1
        assert metrics.registry.get_sample_value("weir_stage_seconds_bucket", {"stage": stage, "le": "0.001"}) == 0


def test_every_metric_is_ours_and_explained() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("weir_")
        assert family.documentation


def test_the_page_is_the_prometheus_text_format() -> None:
    metrics = Metrics()
    metrics.requests.labels("/classify", "200").inc()
    assert b'weir_requests_total{route="/classify",status="200"} 1.0' in metrics.render()
