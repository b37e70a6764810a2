"""Deployment settings: read from the environment, checked at start, with a message that names the setting."""

from __future__ import annotations

import ipaddress
import os

import pytest
from pydantic import ValidationError

from serving.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.startswith("WEIR_") or name == "REDIS_URL":
            monkeypatch.delenv(name)


def test_nothing_has_to_be_set() -> None:
    settings = Settings()
    assert settings.redis_url is None
    assert settings.bundle == "production"
    assert settings.inference_threads == (os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["REDIS_URL", "WEIR_REDIS_URL"])
def test_redis_is_named_by_its_usual_variable_or_by_ours(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "redis://redis:6379/0")
    assert Settings().redis_url == "redis://redis:6379/0"


def test_an_empty_redis_url_means_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    assert Settings().redis_url is None


def test_trusted_proxies_are_networks_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32")
    networks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))
    assert Settings().trusted_proxies == networks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEIR_REDIS_URL", "http://redis"),
        ("WEIR_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("WEIR_INFERENCE_THREADS", "0"),
        ("WEIR_MAX_BODY_BYTES", "a lot"),
        ("WEIR_PREDICT_TIMEOUT_S", "600"),
        ("WEIR_PROVIDER", "tpu"),
        ("WEIR_ADDRESS_HASH_SECRET", "short"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name.removeprefix("WEIR_").lower() in str(caught.value).lower()


def test_settings_cannot_change_while_the_service_runs() -> None:
    with pytest.raises(ValidationError):
        Settings().workers = 2  # type: ignore[misc]


def test_the_secret_does_not_show_in_a_printed_settings_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ADDRESS_HASH_SECRET", "very-secret-indeed")
    assert "very-secret-indeed" not in repr(Settings())


@pytest.mark.parametrize("name", ["REDIS_URL", "WEIR_ADDRESS_HASH_SECRET"])
def test_a_refused_value_is_not_printed_because_it_may_hold_a_password(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, ":hunter2@redis")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hunter2" not in str(caught.value)


def test_an_empty_address_secret_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ADDRESS_HASH_SECRET", "")
    assert Settings().address_hash_secret is None
