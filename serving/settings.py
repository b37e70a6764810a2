"""Deployment settings: what differs between machines, read once from the environment.

Product policy (tiers, limits, actions) is in `policy.yaml`, model facts are in the bundle's manifest; neither is here.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# So that the service finds its own files from whatever folder it is started in, as a Bento too.
from data.redis_url import SCHEMES

ROOT: Final = Path(__file__).resolve().parents[1]
SHORTEST_SECRET: Final = 16
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseSettings):
    """Environment variables with the prefix `WEIR_`, and `REDIS_URL`. Validated at start; immutable."""

    # An error at start says which variable is wrong and not its value, which may be a URL with a password.
    model_config = SettingsConfigDict(
        env_prefix="WEIR_", frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    redis_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("WEIR_REDIS_URL", "REDIS_URL"),
        description="Redis to use (redis://, rediss://, unix://, redis+cluster://); unset: an embedded one starts",
    )
    redis_timeout_s: float = Field(
        default=0.05, gt=0, le=5, description="how long one Redis call may take before the tier's fallback answers"
    )
    state_dir: Path = Field(default=Path("var/state"), description="folder of the embedded Redis and of the spool")
    store: Path = Field(default=ROOT / "models" / "store", description="folder of published bundles")
    bundle: str = Field(default="production", description="bundle to serve: an alias, a version or a folder")
    provider: Literal["cpu", "cuda"] = Field(default="cpu", description="where the model runs")
    policy_path: Path = Field(default=ROOT / "serving" / "policy.yaml", description="the product policy")
    workers: int = Field(default=1, ge=1, le=64, description="worker processes; each loads the model")
    inference_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=256, description="threads that run the model"
    )
    queue_tokens: int = Field(
        default=131_072, ge=512, description="tokens that may wait for the model; over it: 503 at once"
    )
    predict_timeout_s: float = Field(default=10.0, gt=0, le=25, description="deadline of one request's judgement")
    max_body_bytes: int = Field(default=1_048_576, ge=1_024, description="largest request body")
    body_timeout_s: float = Field(default=10.0, gt=0, le=25, description="how long a body may take to arrive")
    replicas: int = Field(
        default=1, ge=1, description="processes that share the limits; the local fallback divides by it"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(), description="networks whose X-Forwarded-For is believed, comma separated"
    )
    address_hash_secret: SecretStr | None = Field(
        default=None, description="key of the client address hash; unset: random, shared through Redis"
    )
    event_stream_max_length: int = Field(default=100_000, ge=1, description="events kept in the Redis stream")
    event_spool_bytes: int = Field(
        default=67_108_864, ge=1_048_576, description="most that events may take on disk until Redis has them"
    )
    access_log: bool = Field(default=False, description="one log line for each request")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("address_hash_secret")
    @classmethod
    def _worth_its_name(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"must have at least {SHORTEST_SECRET} characters: who guesses it can list every address")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if not value:
            return None
        schemes = ("redis://", "rediss://", "unix://", *SCHEMES)
        if not value.startswith(schemes):
            raise ValueError(f"must start with one of {', '.join(schemes)}")
        return value
