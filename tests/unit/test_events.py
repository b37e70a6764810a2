"""An event's ways between memory, JSON and Parquet, and which events keep their text."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.event_codec import from_json, to_json
from data.event_store import INCOMPLETE, EventStore, read
from data.schema import CATEGORIES, Action, Category, ClusterMatch, Coverage, Direction, Event, Reason
from serving.event_log import keeps_text

NOON = 1_800_000_000.25


def event(number: int = 0, **changes: object) -> Event:
    plain = Event(
        id=f"evt_{number}",
        time=NOON,
        request_id="req-1",
        principal="key_1",
        tier="authenticated",
        address="addr_1",
        user=None,
        direction=Direction.OUTPUT,
        action=Action.BLOCK,
        categories=(Category.SELF_HARM, Category.HATE),
        scores={category: 0.125 * index for index, category in enumerate(CATEGORIES)},
        reasons=(Reason("classifier", "hate", 0.125, 0, 9, "score at or above fpr_1% in policy default"),),
        coverage=Coverage(12, 12, 1, 0.75, 12, ("thai", "han")),
        changes={"zero-width": 3},
        anomaly=0.5,
        limit_factor=0.75,
        model_version="2026-01-01",
        policy="default",
        policy_version="abc",
        timings_ms={"total": 4.75},
        text="some words",
        embedding=(0.5, -0.25, 0.0),
        cluster=ClusterMatch("c-1", 0.25),
    )
    return dataclasses.replace(plain, **changes)


BARE = event(
    request_id=None,
    categories=(),
    reasons=(),
    changes={},
    timings_ms={},
    text=None,
    embedding=None,
    cluster=None,
    action=Action.ALLOW,
)


@pytest.mark.parametrize("original", [event(), BARE], ids=["full", "bare"])
def test_an_event_comes_back_from_json_as_it_was(original: Event) -> None:
    line = to_json(original)
    assert b"\n" not in line
    assert from_json(line) == original


@given(st.text(), st.text())
def test_any_text_makes_one_line_of_valid_json(text: str, user: str) -> None:
    line = to_json(event(text=text, user=user))
    assert b"\n" not in line
    back = from_json(line)
    if not any("\ud800" <= character <= "\udfff" for character in text + user):
        assert (back.text, back.user) == (text, user)


def test_lone_surrogates_become_question_marks() -> None:
    assert from_json(to_json(event(text="a\ud800b", user="\udfff"))).text == "a?b"


def test_a_score_that_is_not_a_number_stays_one() -> None:
    back = from_json(to_json(event(scores={Category.HATE: math.nan})))
    assert math.isnan(back.scores[Category.HATE])


def test_an_embedding_keeps_its_direction() -> None:
    vector = np.random.default_rng(0).normal(size=384)
    vector /= np.linalg.norm(vector)
    line = to_json(event(embedding=tuple(vector)))
    assert np.dot(from_json(line).embedding, vector) > 0.999_999
    assert len(line) < 2_000


def test_fields_of_a_newer_writer_are_left_out() -> None:
    fields = orjson.loads(to_json(event()))
    assert from_json(orjson.dumps({**fields, "of_the_future": 1})) == event()


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"not json", b'{"id": 1}'])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_json(line)


@pytest.mark.parametrize("original", [event(), BARE], ids=["full", "bare"])
def test_an_event_comes_back_from_parquet_as_it_was(original: Event, tmp_path: Path) -> None:
    EventStore(str(tmp_path)).write([("1-0", original)])
    assert list(read(str(tmp_path))) == [original]


def test_events_lie_under_their_date_and_no_draft_is_left(tmp_path: Path) -> None:
    store = EventStore(str(tmp_path))
    store.write([("1-0", event(1)), ("2-0", event(2)), ("3-0", event(3, time=NOON + 86_400))])
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["date=2027-01-15/1-0_2-0.parquet", "date=2027-01-16/3-0_3-0.parquet"]
    assert list((tmp_path / INCOMPLETE).iterdir()) == []


def test_events_are_read_once_and_in_the_order_of_the_stream(tmp_path: Path) -> None:
    store = EventStore(str(tmp_path))
    store.write([("10-0", event(10)), ("11-0", event(11))])
    store.write([("9-0", event(9)), ("10-0", event(10))])
    store.write([("10-0", event(10)), ("11-0", event(11))])
    assert [each.id for each in read(str(tmp_path))] == ["evt_9", "evt_10", "evt_11"]


def test_a_store_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert list(read(str(tmp_path / "none"))) == []


def test_any_fsspec_url_will_do() -> None:
    store = EventStore("memory://weir-test-events")
    store.write([("1-0", event())])
    assert list(read("memory://weir-test-events")) == [event()]


@pytest.mark.parametrize(
    ("log_text", "flagged", "kept"),
    [
        ("none", True, False),
        ("none", False, False),
        ("flagged", True, True),
        ("flagged", False, False),
        ("all", False, True),
        ("sampled:1", False, True),
    ],
)
def test_text_is_kept_as_the_tier_says(log_text: str, flagged: bool, kept: bool) -> None:
    assert keeps_text(log_text, "evt_1", flagged=flagged) is kept


def test_a_sample_is_as_large_as_its_rate_and_always_the_same() -> None:
    ids = [f"evt_{number}" for number in range(10_000)]
    tenth = [each for each in ids if keeps_text("sampled:0.1", each, flagged=False)]
    assert 900 < len(tenth) < 1_100
    assert tenth == [each for each in ids if keeps_text("sampled:0.1", each, flagged=True)]
    assert set(tenth) < {each for each in ids if keeps_text("sampled:0.2", each, flagged=False)}


def test_coverage_of_an_older_or_a_newer_writer_is_read() -> None:
    written = orjson.loads(to_json(event()))
    written["coverage"] = {"tokens": 5, "scanned": 4, "windows": 1}
    assert from_json(orjson.dumps(written)).coverage == Coverage(5, 4, 1)
    written["coverage"] |= {"unread_scripts": ["thai"], "something_new": 1}
    assert from_json(orjson.dumps(written)).coverage == Coverage(5, 4, 1, unread_scripts=("thai",))
