"""Problem details: RFC 9457 bodies, honest statuses, and no failure that looks like an answer."""

from __future__ import annotations

import inspect

import orjson
import pytest

from serving import errors
from serving.errors import PROBLEMS, BodyTimeout, CannotJudge, LimitExceeded, Overloaded, Problem, QuotaExceeded


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.__name__)
def test_each_problem_is_an_rfc_9457_document_with_its_own_status(problem: type[Problem]) -> None:
    response = problem().to_response()
    body = orjson.loads(response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == body["status"] == problem.status
    assert list(body)[:4] == ["type", "title", "status", "detail"]
    assert response.headers["cache-control"] == "no-store"


def test_no_problem_has_a_status_that_could_be_read_as_an_answer() -> None:
    assert all(problem.status >= 400 for problem in PROBLEMS)


def test_every_problem_that_is_defined_is_in_the_table() -> None:
    defined = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Problem)}
    groups = {Problem, errors.Malformed, LimitExceeded}
    assert defined - groups == set(PROBLEMS)


def test_the_tree_in_the_docstring_names_each_problem_with_its_status() -> None:
    tree = {line.split("─ ")[1].split()[0]: line for line in (errors.__doc__ or "").splitlines() if "─ " in line}
    for problem in set(PROBLEMS) - {CannotJudge}:
        assert str(problem.status) in tree[problem.__name__]


def test_types_are_unique_and_either_registered_or_our_own() -> None:
    types = [problem.type for problem in PROBLEMS]
    assert len(set(types)) == len(types)
    assert all(type_.startswith((errors.IANA, errors.OWN)) for type_ in types)


def test_a_failure_to_judge_says_when_to_come_back() -> None:
    assert Overloaded(retry_after_s=7).to_response().headers["retry-after"] == "7"
    assert CannotJudge().to_response().status_code == 503


def test_a_late_body_closes_its_connection() -> None:
    assert BodyTimeout().to_response().headers["connection"] == "close"


def test_extra_members_and_headers_are_carried() -> None:
    problem = QuotaExceeded("later", headers={"Retry-After": "3"}, extra={"violated-policies": ["requests"]})
    response = problem.to_response()
    assert orjson.loads(response.body)["violated-policies"] == ["requests"]
    assert response.headers["retry-after"] == "3"
