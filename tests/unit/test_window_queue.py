"""The discipline of the queue: bounded in tokens, short texts first, nothing starves, groups of near-equal length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.window_queue import MAX_PADDING, PATIENCE, WindowQueue

TEXT = st.lists(st.integers(1, 256), min_size=1, max_size=12)


def drained(queue: WindowQueue) -> list[int]:
    order = []
    while group := queue.take():
        order += [ticket.text for ticket in group]
    return order


def test_a_short_text_overtakes_a_long_one_that_came_first() -> None:
    queue = WindowQueue(10_000)
    queue.put(1, [256])
    queue.put(2, [16])
    assert drained(queue) == [2, 1]


def test_a_long_document_lets_short_texts_through_between_its_windows() -> None:
    queue = WindowQueue(100_000)
    queue.put(1, [256] * 10)
    assert [ticket.text for ticket in queue.take()] == [1]
    queue.put(2, [16])
    assert [ticket.text for ticket in queue.take()] == [2]


def test_windows_of_one_text_leave_in_their_order() -> None:
    queue = WindowQueue(10_000)
    queue.put(1, [256, 256, 30])
    assert [queue.take()[0].index for _ in range(3)] == [0, 1, 2]


@given(long=TEXT, short=st.integers(1, 64))
def test_a_steady_stream_of_short_texts_never_starves_a_long_one(long: list[int], short: int) -> None:
    """At most PATIENCE times the long text's tokens, and one window, of later texts go before it."""
    queue = WindowQueue(10_000_000)
    queue.put(0, long)
    waiting, overtaken, serial = len(long), 0, 1
    while waiting:
        queue.put(serial, [short])
        serial += 1
        for ticket in queue.take():
            if ticket.text == 0:
                waiting -= 1
            else:
                overtaken += ticket.tokens
        assert overtaken <= PATIENCE * sum(long) + short


@given(texts=st.lists(TEXT, max_size=20), capacity=st.integers(1, 3_000))
def test_the_tokens_that_wait_never_exceed_the_capacity(texts: list[list[int]], capacity: int) -> None:
    queue = WindowQueue(capacity)
    for serial, lengths in enumerate(texts):
        if queue.has_room(sum(lengths)):
            queue.put(serial, lengths)
        assert queue.tokens <= capacity
        if serial % 3 == 2:
            queue.take()
    drained(queue)
    assert queue.tokens == 0
    assert len(queue) == 0


@given(texts=st.lists(TEXT, min_size=1, max_size=20), budget=st.sampled_from([0, 256, 1024]))
def test_every_window_is_taken_exactly_once(texts: list[list[int]], budget: int) -> None:
    queue = WindowQueue(1_000_000, budget)
    for serial, lengths in enumerate(texts):
        queue.put(serial, lengths)
    taken = []
    while group := queue.take():
        taken += [(ticket.text, ticket.index, ticket.tokens) for ticket in group]
    expected = [(serial, index, length) for serial, lengths in enumerate(texts) for index, length in enumerate(lengths)]
    assert sorted(taken) == expected


@given(texts=st.lists(TEXT, min_size=1, max_size=20), budget=st.integers(256, 2048))
def test_a_group_is_of_one_model_and_wastes_little_on_padding(texts: list[list[int]], budget: int) -> None:
    queue = WindowQueue(1_000_000, budget)
    for serial, lengths in enumerate(texts):
        queue.put(serial, lengths, model=serial % 2)
    while group := queue.take():
        padded = len(group) * max(ticket.tokens for ticket in group)
        assert len({ticket.model for ticket in group}) == 1
        assert padded <= budget
        assert padded <= (1 + MAX_PADDING) * sum(ticket.tokens for ticket in group)


def test_neighbours_in_length_share_a_group() -> None:
    queue = WindowQueue(10_000, 1024)
    for serial, length in enumerate([40, 200, 42, 41]):
        queue.put(serial, [length])
    assert {ticket.text for ticket in queue.take()} == {0, 2, 3}


def test_without_a_batch_budget_each_group_is_one_window() -> None:
    queue = WindowQueue(10_000)
    for serial in range(4):
        queue.put(serial, [32])
    assert [len(queue.take()) for _ in range(4)] == [1, 1, 1, 1]


def test_a_dropped_text_leaves_no_window_and_no_tokens_behind() -> None:
    queue = WindowQueue(10_000, 1024)
    queue.put(1, [40, 40, 40])
    queue.put(2, [50])
    queue.drop(1)
    assert queue.tokens == 50
    assert drained(queue) == [2]
    queue.drop(1)
