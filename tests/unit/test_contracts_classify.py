"""The body of /classify: what is taken, what is refused, and that no refusal repeats what was sent."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.schema import Direction
from serving.contracts.classify import ClassifyRequest, parse
from serving.errors import InvalidRequest, NotJson

SECRET = "hunter2-secret"


def asked(document: dict[str, Any]) -> ClassifyRequest:
    return parse(orjson.dumps(document))


def refusal(document: object) -> dict[str, Any]:
    with pytest.raises(InvalidRequest) as caught:
        parse(orjson.dumps(document))
    return caught.value.body()


def test_one_text_is_judged_as_input() -> None:
    request = asked({"text": "hello"})
    assert request.judged_texts() == ["hello"]
    assert request.judged_direction() is Direction.INPUT


def test_several_texts_keep_their_order() -> None:
    assert asked({"texts": ["b", "a"]}).judged_texts() == ["b", "a"]


@pytest.mark.parametrize(
    ("role", "direction"),
    [("user", "input"), ("tool", "input"), ("system", "input"), ("assistant", "output"), ("function", "input")],
)
def test_a_conversation_is_judged_by_its_last_message_and_its_role(role: str, direction: str) -> None:
    request = asked({"messages": [{"role": "user", "content": "first"}, {"role": role, "content": "last"}]})
    assert request.judged_texts() == ["last"]
    assert request.judged_direction() == direction


def test_a_given_direction_wins_over_the_role() -> None:
    request = asked({"messages": [{"role": "assistant", "content": "x"}], "direction": "input"})
    assert request.judged_direction() is Direction.INPUT


@pytest.mark.parametrize(
    ("role", "own"),
    [("user", True), ("system", True), ("developer", True), ("assistant", False), ("tool", False), ("function", False)],
)
def test_what_a_tool_or_a_model_said_are_not_the_callers_own_words(role: str, own: bool) -> None:
    message = {"role": role, "content": "x"}
    assert asked({"messages": [message]}).own_words() is own
    assert asked({"messages": [message], "direction": "input"}).own_words() is own
    assert not asked({"messages": [message], "direction": "output"}).own_words()
    assert asked({"text": "x"}).own_words()


def test_text_parts_are_joined_and_earlier_messages_may_hold_anything() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = asked(
        {"messages": [{"role": "user", "content": [image]}, {"role": "user", "content": parts, "name": "n"}]}
    )
    assert request.judged_texts() == ["a\nb"]


@pytest.mark.parametrize(
    ("message", "text", "unread"),
    [
        ({"content": None}, "", 0),
        ({"content": "a", "tool_calls": [{"function": {"arguments": "b"}}]}, "a", 1),
        ({"content": "a", "function_call": {"arguments": "b"}, "audio": {"id": "c"}, "refusal": "d"}, "a", 3),
        ({"content": "a", "function_call": None, "audio": None, "refusal": None, "tool_calls": []}, "a", 0),
        ({"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "b"}}]}, "a", 1),
        ({"content": [{"type": "text", "text": 5}, {"text": "a"}]}, "", 2),
    ],
)
def test_what_cannot_be_judged_is_counted_and_not_refused(message: dict[str, Any], text: str, unread: int) -> None:
    request = asked({"messages": [{"role": "user", **message}]})
    assert (request.judged_texts(), request.unread()) == ([text], unread)


def test_null_fields_count_as_absent() -> None:
    request = asked({"text": "x", "texts": None, "messages": None, "direction": None, "policy": None, "user": None})
    assert request.judged_texts() == ["x"]


def test_nul_is_judged_and_not_refused() -> None:
    assert parse(b'{"text": "a\\u0000b"}').judged_texts() == ["a\0b"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "(body)"),
        ([], "(body)"),
        ("text", "(body)"),
        ({"text": "a", "texts": ["b"]}, "(body)"),
        ({"text": ""}, "text"),
        ({"text": 5}, "text"),
        ({"text": ["a"]}, "text"),
        ({"texts": "a"}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": ["a", None]}, "texts.1"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages.0.content.list[dict[str,any]].0"),
        ({"text": "a", "direction": "sideways"}, "direction"),
        ({"text": "a", "request_id": "line\nbreak"}, "request_id"),
        ({"text": "a", "request_id": "x" * 129}, "request_id"),
        ({"text": "a", "user": "space d"}, "user"),
        ({"text": "a", "policy": "../etc"}, "policy"),
        ({"text": "a", "polcy": "strict"}, "(body)"),
    ],
)
def test_a_wrong_shape_is_refused_with_field_and_rule(document: object, field: str) -> None:
    found = refusal(document)["errors"]
    assert field in {item["field"] for item in found}
    assert all(item["rule"] and item["detail"] for item in found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"text=a",
        b"NaN",
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"text": "a"} trailing',
    ],
    ids=["empty", "cut", "form", "nan", "utf8", "surrogate", "raw-surrogate", "deep", "deep-pairs", "trailing"],
)
def test_what_is_not_json_in_utf8_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse(body)


@pytest.mark.parametrize(
    "document",
    [
        {"text": {SECRET: SECRET}},
        {SECRET: 1, "text": "a"},
        {"text": "a", "policy": SECRET + "!"},
        {"text": "a", "direction": SECRET},
        {"messages": [{"role": SECRET, "content": SECRET}]},
        {"messages": [{"role": "user", "content": [[SECRET]], "tool_calls": SECRET}]},
        {"texts": [[SECRET]], "user": {SECRET: [SECRET]}},
    ],
)
def test_a_refusal_never_repeats_what_was_sent(document: object) -> None:
    assert SECRET not in str(refusal(document))


@pytest.mark.parametrize(
    "document",
    [
        {"texts": [1] * 200_000},
        {"texts": [""] * 200_000},
        {"messages": [{}] * 200_000},
        {"messages": [{"role": "user"}] * 200_000},
        {"messages": [{"role": "user", "content": [1] * 200_000}]},
        {str(number): 1 for number in range(100_000)},
    ],
    ids=["texts", "empty texts", "messages", "too many messages", "parts", "keys"],
)
def test_a_body_full_of_mistakes_costs_no_more_than_its_first(document: dict[str, Any]) -> None:
    """Naming each of them would take seconds in which nobody else is answered."""
    assert 0 < len(refusal(document)["errors"]) <= 3


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_problem(body: bytes) -> None:
    with contextlib.suppress(NotJson, InvalidRequest):
        parse(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "texts", "messages", "role", "content", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused_with_a_problem(document: object) -> None:
    with contextlib.suppress(NotJson, InvalidRequest):
        assert parse(orjson.dumps(document)).judged_texts()
