"""What every storage of limits must do: the same test bodies over this process and over a real Redis server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serving.anomaly.standing import Adaptation
from serving.ratelimit.limits import Charge, Demand, Limit, Weighed
from serving.ratelimit.redis import RedisStorage, read_script
from serving.ratelimit.storage import LocalStorage, Storage
from serving.redis_connection import Connection

START_US = 1_800_000_000_000_000  # a day in 2027, with all its sixteen digits
REQUESTS = Limit("requests", 5 / 60, 5)
TOKENS = Limit("tokens", 10, 100, "tokens")

# The script asks the server for the time. For a test with a clock of its own, the server's TIME is replaced by a
# list that the test sets; nothing else changes, and production has no such door.
CLOCK_IN_A_LIST = """
local server = redis
local redis = { call = function(name, ...)
    if name == 'TIME' then return server.call('LRANGE', 'test:clock', 0, -1) end
    return server.call(name, ...)
end }
"""


class Bench:
    """A storage whose clock the test turns."""

    def __init__(self, runner: asyncio.Runner, connection: Connection | None) -> None:
        self.runner = runner
        self.connection = connection
        self.now_us = START_US
        self.storage: Storage = (
            RedisStorage(connection, script=CLOCK_IN_A_LIST + read_script())
            if connection
            else LocalStorage(lambda: self.now_us)
        )
        self.principal = uuid4().hex

    def hit(self, *charges: Charge, principal: str | None = None, **more: object) -> Weighed:
        demand = Demand(charges, **more)  # type: ignore[arg-type]
        return self.runner.run(self._hit(principal or self.principal, demand))

    def release(self, lease: str) -> None:
        self.runner.run(self._release(lease))

    async def _release(self, lease: str) -> None:
        self.storage.release(self.principal, lease)

    async def _hit(self, principal: str, demand: Demand) -> Weighed:
        if self.connection:
            seconds, rest = divmod(self.now_us, 1_000_000)
            await self.connection.execute("DEL", "test:clock", timeout_s=5)
            await self.connection.execute("RPUSH", "test:clock", seconds, rest, timeout_s=5)
        return await self.storage.hit(principal, demand)


@contextmanager
def patient_connection(runner: asyncio.Runner, state_dir: Path) -> Iterator[Connection]:
    connection = Connection(None, state_dir, timeout_s=5)  # a busy test machine is not what is tested here
    runner.run(connection.start())
    try:
        yield connection
    finally:
        runner.run(connection.close())


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def connection(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with patient_connection(runner, tmp_path_factory.mktemp("redis")) as connection:
        yield connection


@pytest.fixture(params=["local", "redis"])
def bench(request: pytest.FixtureRequest, runner: asyncio.Runner, connection: Connection) -> Bench:
    return Bench(runner, connection if request.param == "redis" else None)


def test_a_burst_then_one_at_a_time(bench: Bench) -> None:
    assert [bench.hit(Charge(REQUESTS, 1)).rows[0].remaining for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = bench.hit(Charge(REQUESTS, 1))
    assert (refused.admitted, refused.rows[0].retry_us) == (False, 12_000_000)
    bench.now_us += 12_000_000 - 1
    assert bench.hit(Charge(REQUESTS, 1)).rows[0].retry_us == 1
    bench.now_us += 1
    assert bench.hit(Charge(REQUESTS, 1)).admitted


def test_a_refusal_charges_no_limit_and_takes_no_lease(bench: Bench) -> None:
    assert bench.hit(Charge(REQUESTS, 1), Charge(TOKENS, 90), concurrent=2, lease_id="a").admitted
    refused = bench.hit(Charge(REQUESTS, 1), Charge(TOKENS, 11), concurrent=2, lease_id="b")
    assert (refused.admitted, refused.full, refused.held) == (False, False, 1)
    assert [row.remaining for row in refused.rows] == [4, 10]


def test_leases_end_by_release_and_by_lapse(bench: Bench) -> None:
    def take(lease: str) -> bool:
        return bench.hit(concurrent=2, lease_id=lease, lease_us=2_000_000).admitted

    assert [take("a"), take("b"), take("c")] == [True, True, False]
    bench.release("a")
    bench.release("unknown")
    assert [take("c"), take("d")] == [True, False]
    bench.now_us += 2_000_000
    assert take("d")


def test_principals_do_not_share_whatever_their_names_are(bench: Bench) -> None:
    names = ["a", "{a}", "}{a", "", "%", "a b", "ключ", "\ud800", "a:b", "x" * 500]
    for name in names:
        assert bench.hit(Charge(REQUESTS, 5), principal=name or None).admitted, name


def test_a_clock_that_jumps_back_costs_at_most_a_window(bench: Bench) -> None:
    bench.hit(Charge(REQUESTS, 5), concurrent=1, lease_id="a")
    bench.now_us -= 3_600_000_000
    refused = bench.hit(Charge(REQUESTS, 1), concurrent=1, lease_id="b")
    assert (refused.rows[0].retry_us, refused.full) == (12_000_000, False)
    bench.now_us += 11_999_999
    assert bench.hit(Charge(REQUESTS, 1), concurrent=1, lease_id="b").rows[0].retry_us == 1
    bench.now_us += 1
    assert bench.hit(Charge(REQUESTS, 1), concurrent=1, lease_id="b").admitted


def test_a_refusal_on_better_terms_forgives_no_debt_that_was_honestly_made(bench: Bench) -> None:
    suspected, trusted = Adaptation(address_factor=0.001), Adaptation()
    assert bench.hit(Charge(REQUESTS, 1), adaptation=suspected).rows[0].ahead_us == 540_000_000
    assert not bench.hit(Charge(REQUESTS, 5), adaptation=trusted).admitted
    assert bench.hit(Charge(REQUESTS, 0), adaptation=trusted).admitted  # asks how things stand
    assert bench.hit(Charge(REQUESTS, 5), adaptation=suspected).rows[0].ahead_us == 540_000_000


def test_what_is_known_to_be_owed_is_written_down_even_where_nothing_is_charged(bench: Bench) -> None:
    assert bench.hit(Charge(REQUESTS, 1), Charge(TOKENS, 0), known_us=(0, 9_000_000)).admitted
    assert bench.hit(Charge(TOKENS, 0)).rows[0].ahead_us == 9_000_000


def test_a_clock_that_jumps_forward_gives_one_burst_and_no_more(bench: Bench) -> None:
    bench.hit(Charge(REQUESTS, 5))
    bench.now_us += 10 * 365 * 86_400_000_000
    assert sum(bench.hit(Charge(REQUESTS, 1)).admitted for _ in range(8)) == 5


step = st.tuples(
    st.integers(-400_000, 4_000_000),
    st.sampled_from(["a", "b"]),
    st.lists(
        st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 6), st.floats(0, 6))),
        max_size=3,
        unique_by=lambda c: c[0],
    ),
    st.sampled_from([1.0, 0.7, 0.31, 1 / 3, 0.05]),
    st.integers(0, 2),
)
LIMITS = [Limit("x", 7 / 60, 6), Limit("y", 3, 6), Limit("z", 1_000_000 / 60 / 7, 6, adaptive=False)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(step, max_size=25))
@example(history=[(0, "a", [(0, 0)], 1.0, 0), (-1, "a", [(0, 0)], 1.0, 0)])
@example(
    history=[(0, "a", [(0, 1), (1, 1)], 1.0, 0), (400_000, "a", [(2, 1)], 1.0, 0), (-400_000, "a", [(1, 1)], 1.0, 0)]
)
def test_redis_and_the_reference_answer_every_history_alike(
    history: list[tuple[int, str, list[tuple[int, float]], float, int]], runner: asyncio.Runner, connection: Connection
) -> None:
    benches = [Bench(runner, None), Bench(runner, connection)]
    prefix = uuid4().hex
    for number, (wait, who, costs, factor, concurrent) in enumerate(history):
        charges = tuple(Charge(LIMITS[which], cost) for which, cost in costs)
        answers = []
        for bench in benches:
            bench.now_us += wait
            answers.append(
                bench.hit(
                    *charges,
                    principal=prefix + who,
                    factor=factor,
                    concurrent=concurrent,
                    lease_id=f"lease{number}",
                    lease_us=3_000_000,
                )
            )
        assert answers[0] == answers[1]
