"""The least that an HTTP service can do with a JSON body: the yardstick of `benchmarks.gateway`."""

from __future__ import annotations

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def _answer(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    body = {"characters": len(asked["text"]), "timings_ms": {"model": 0.0}}
    return Response(orjson.dumps(body), media_type="application/json")


def create_app() -> Starlette:
    """One route that parses a body and answers; for `uvicorn --factory`."""
    return Starlette(routes=[Route("/classify", _answer, methods=["POST"])])
