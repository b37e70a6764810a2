"""The least that a service with a model can do, a yardstick of `benchmarks.gateway`: parse, predict, answer.

It has no keys, limits, policy, events, metrics or bounds; what it costs around the model is what the machine asks of
anything that wakes between two runs of a model, with its caches full of the model's weights.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.bundle import load_bundle
from models.classifier import Classifier


def create_app() -> Starlette:
    """One route that answers with the scores of the bundle in WEIR_BUNDLE; for `uvicorn --factory`."""
    classifier = Classifier.load(load_bundle(Path(os.environ["WEIR_BUNDLE"])), threads=1)

    def judge(text: str) -> dict[str, object]:
        prepared = classifier.prepare(text)
        begun = time.perf_counter()
        prediction = classifier.finish(prepared, classifier.run(prepared.windows))
        spent_ms = (time.perf_counter() - begun) * 1000
        scores = {category.value: score for category, score in prediction.scores.items()}
        return {"scores": scores, "timings_ms": {"model": spent_ms}}

    async def answer(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        body = await asyncio.to_thread(judge, asked["text"])
        return Response(orjson.dumps(body), media_type="application/json")

    return Starlette(routes=[Route("/classify", answer, methods=["POST"])])
