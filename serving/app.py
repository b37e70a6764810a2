"""The routes, and what holds for all of them: an error is a problem document, and every answer is counted."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import openapi, status
from serving.body import read_json_body
from serving.contracts.classify import parse
from serving.errors import MethodNotAllowed, NotFound, Problem, Unexpected
from serving.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from serving.gateway import Gateway

log = logging.getLogger("weir.http")
access_log = logging.getLogger("weir.access")

UNMATCHED: Final = "unmatched"
JSON: Final = "application/json"


def create_app(open_gateway: Callable[[], AbstractAsyncContextManager[Gateway]]) -> Starlette:
    """The whole HTTP service. The gateway is opened when the server starts and closed when it stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_gateway() as gateway:
            app.state.gateway = gateway
            yield

    routes = [
        Route("/classify", _classify, methods=["POST"]),
        Route("/info", _info, methods=["GET"]),
        Route("/readyz", _readyz, methods=["GET"]),
        Route("/livez", _livez, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
        Route("/openapi.json", _openapi, methods=["GET"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Observed, paths=frozenset(route.path for route in routes))],
        exception_handlers={Problem: _problem, HTTPException: _http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a POST that is redirected loses its body in half of all clients
    return app


async def _classify(request: Request) -> Response:
    started = time.perf_counter()
    gateway: Gateway = request.app.state.gateway
    settings = gateway.settings
    body = await read_json_body(request, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    answer = await gateway.classify(request, parse(body), started)
    return Response(orjson.dumps(answer.body), headers=answer.headers, media_type=JSON)


async def _info(request: Request) -> Response:
    return _json(status.info(request.app.state.gateway))


async def _readyz(request: Request) -> Response:
    ready, body = status.readiness(request.app.state.gateway)
    return _json(body, 200 if ready else 503)


async def _livez(_request: Request) -> Response:
    return _json({"alive": True})


async def _metrics(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    gateway.refresh_gauges()
    return Response(gateway.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def _openapi(request: Request) -> Response:
    return _json(openapi.document(request.app.state.gateway.policy))


def _json(body: object, status_code: int = 200) -> Response:
    return Response(orjson.dumps(body), status_code, headers={"Cache-Control": "no-store"}, media_type=JSON)


def _problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101  Starlette types its exception callbacks by the base class
    return problem.to_response()


def _http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405, as problems."""
    assert isinstance(error, HTTPException)  # noqa: S101  as above
    if error.status_code == 405:
        return MethodNotAllowed(headers=error.headers).to_response()
    return NotFound().to_response()


class Observed:
    """Counts every answer by route and status, and turns what nobody expected into a 500 without a traceback."""

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status_code = 0

        async def noted_send(message: Message) -> None:
            nonlocal status_code
            if message["type"] == "http.response.start":
                status_code = message["status"]
            await send(message)

        gateway: Gateway = scope["app"].state.gateway
        try:
            await self._app(scope, receive, noted_send)
        except ClientDisconnect:
            gateway.metrics.disconnected.inc()
            # Nobody reads it, but ASGI wants every request answered, and the metrics a status.
            await Response(status_code=499)(scope, receive, noted_send)
        except Exception as error:  # noqa: BLE001  the last place where a fault can become an answer
            log.error("unexpected error", extra={"error": type(error).__name__, "at": _places(error)})  # noqa: TRY400
            if not status_code:
                await Unexpected().to_response()(scope, receive, noted_send)
        route = scope["path"] if scope["path"] in self._paths else UNMATCHED
        gateway.metrics.requests.labels(route, str(status_code)).inc()
        if gateway.settings.access_log:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            access_log.info("request", extra={"route": route, "status": status_code, "ms": elapsed_ms})


def _places(error: BaseException) -> list[str]:
    """File, line and function of each frame: a traceback without the messages, which may quote the text."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
