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


class OurRoutesOnly(bentoml.Service):  # type: ignore[misc]  # BentoML types it lazily, as Any
    """Answers every request by our app alone; BentoML keeps the lifespan.

    Its middlewares stand before any of ours that it is given by its own means: its timeout costs a task and a timer
    for each request, and the timer stays when the request is long answered.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What BentoML gives uvicorn to run."""
        bento_app = super().to_asgi(is_main)

        async def ours_first(scope: Scope, receive: Receive, send: Send) -> None:
            await (app if scope["type"] == "http" else bento_app)(scope, receive, send)

        return ours_first


@bentoml.asgi_app(app, path="/")
@bentoml.service(
    name="weir",
    workers=settings.workers,
    service_class=OurRoutesOnly,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    http={"port": 3000},
)
class Weir:
    """Judges texts; see DESIGN and docs/http-api.md. Everything is in the mounted app."""
