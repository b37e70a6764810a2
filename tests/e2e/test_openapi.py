"""The service keeps what its OpenAPI document promises, under requests that schemathesis makes up."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.schemas import OpenApiSchema

from serving.openapi import document
from serving.policy import load_policy
from tests.e2e.conftest import StartServer

PATHS = document(load_policy())["paths"]
assert isinstance(PATHS, dict)
OPERATIONS = [(path, method) for path, methods in PATHS.items() for method in methods]


@pytest.fixture(scope="module")
def schema(start_server: StartServer, generous_policy: Path) -> OpenApiSchema:
    server = start_server(policy_path=str(generous_policy))
    # a text over maxLength is refused as too large, which schemathesis does not know as a refusal by itself
    refusals = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": refusals}}})
    return schemathesis.openapi.from_url(server.url + "/openapi.json", config=config)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    # a GET without parameters cannot be invalid
    [
        *((path, method, GenerationMode.POSITIVE) for path, method in OPERATIONS),
        ("/classify", "post", GenerationMode.NEGATIVE),
    ],
)
def test_each_answer_is_one_that_the_document_describes(
    schema: OpenApiSchema, path: str, method: str, mode: GenerationMode
) -> None:
    """Status, content type, headers and body; valid requests are judged, invalid ones refused."""
    operation = schema[path][method.upper()]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def each(case: schemathesis.Case) -> None:
        case.call_and_validate(timeout=20)

    each()
