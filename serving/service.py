"""The service as BentoML runs it: `bentoml serve serving.service:Weir`.

BentoML supervises the workers and builds the Bento; requests go straight to our own ASGI app. Measured: BentoML's own
routes cost five times as much, answer /livez and /readyz before us, and turn statuses into others.
"""

from __future__ import annotations

import os

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.app import create_app
from serving.composition import open_gateway
from serving.settings import Settings

# uvicorn would let any process on this machine rewrite its own address by X-Forwarded-For, before us;
# WEIR_TRUSTED_PROXIES alone says who may.
os.environ["FORWARDED_ALLOW_IPS"] = ""
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

settings = Settings()
app = create_app(lambda: open_gateway(settings))


class OurRoutesOnly:
    """Sends every request to our app, past BentoML's routes; BentoML keeps the lifespan."""

    def __init__(self, bento_app: ASGIApp) -> None:
        self._bento_app = bento_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        await (app if scope["type"] == "http" else self._bento_app)(scope, receive, send)


@bentoml.asgi_app(app, path="/")
@bentoml.service(
    name="weir",
    workers=settings.workers,
    # Longer than the body's and the judgement's own deadlines together: ours answer with a problem document.
    traffic={"timeout": settings.body_timeout_s + settings.predict_timeout_s + 5},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    http={"port": 3000},
)
class Weir:
    """Judges texts; see DESIGN and docs/http-api.md. Everything is in the mounted app."""


Weir.add_asgi_middleware(OurRoutesOnly)  # type: ignore[attr-defined]  # the decorators return a Service
