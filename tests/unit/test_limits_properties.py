"""What no history may break: the limit, and the room of those who have nothing to do with an attack."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.anomaly.evidence import Evidence
from serving.anomaly.memory import Memory
from serving.anomaly.standing import Adaptive, Knobs, Standing
from serving.anomaly.watcher import RefusedKey, Sighting
from serving.ratelimit import LocalStorage, RateLimiter
from serving.ratelimit.containment import Containment
from serving.ratelimit.limits import Demand, Weighed
from serving.redis_connection import RedisDown
from tests.unit.village import (
    AGENT,
    ANALYST,
    ANONYMOUS,
    CAMPAIGN,
    ESTABLISHED,
    NEWCOMER,
    REQUESTS,
    SECOND,
    START,
    SURE,
    Attack,
    Bystander,
    Village,
    becomes_established,
    comes_by,
    quiet,
    rooms,
)


class Shared(LocalStorage):
    """Redis as the limiter sees it: with a clock of its own, at times away, and empty when it comes back."""

    down = False

    async def hit(self, principal: str, demand: Demand) -> Weighed:
        if self.down:
            raise RedisDown("down")
        return await super().hit(principal, demand)


@dataclass(frozen=True)
class Step:
    """What happens next. The server's clock may jump, the process's never does."""

    wait_us: int
    jump_us: int = 0
    cost: int = 1
    down: bool = False
    emptied: bool = False
    factor: float = 1.0
    mode: str = "enforce"


steps = st.builds(
    Step,
    wait_us=st.sampled_from([0, 0, 1, 300_000, 5 * SECOND, 700 * SECOND]) | st.integers(0, 10 * SECOND),
    jump_us=st.sampled_from([0, 0, 0, 0, -3600 * SECOND, 60 * SECOND]),
    cost=st.integers(1, 5),
    down=st.sampled_from([False, False, True]),
    emptied=st.booleans(),
    factor=st.sampled_from([1.0, 1.0, 0.3, 0.001]),
    mode=st.sampled_from(["enforce", "shadow"]),
)


class OneProcess:
    """A limiter and its storages under a history."""

    def __init__(self) -> None:
        self.process_us = 0
        self.server_us = START
        self.memory = Memory(lambda: self.process_us)
        self.local = LocalStorage(lambda: self.process_us)
        self.shared = Shared(lambda: self.server_us)
        self.limiter = RateLimiter(self.shared, self.local, containment=Containment(self.memory, self.local))

    def does(self, step: Step) -> tuple[int, int]:
        """How much was admitted, and how much time has passed for whoever counts longest."""
        self.process_us += step.wait_us
        moved_us = step.wait_us + step.jump_us
        self.server_us += moved_us
        if step.down and step.emptied:
            self.shared._accounts.clear()
        self.shared.down = step.down
        if step.factor < 1:
            self.memory.learn("p", Standing(step.factor, self.process_us), self.process_us, Adaptive())
        adaptive = Adaptive(mode=step.mode)  # type: ignore[arg-type]
        admission = asyncio.run(self.limiter.hit("p", [REQUESTS], {"requests": step.cost}, adaptive=adaptive))
        return step.cost if admission.allowed else 0, max(step.wait_us, moved_us)


@settings(max_examples=300, deadline=None)
@given(history=st.lists(steps, max_size=25))
def test_no_more_than_the_limit_whatever_the_clock_redis_and_the_factor_do(history: list[Step]) -> None:
    process = OneProcess()
    done = [process.does(step) for step in history]
    for first in range(len(done)):
        admitted = passed_us = 0
        for cost, wait_us in done[first:]:
            passed_us += wait_us if admitted else 0
            admitted += cost
            assert admitted <= REQUESTS.burst + passed_us / REQUESTS.interval_us


def test_an_emptied_server_gets_back_what_was_admitted_before_it_was_away() -> None:
    process = OneProcess()
    assert sum(process.does(Step(0))[0] for _ in range(3)) == 3
    assert process.does(Step(0, down=True, emptied=True))[0] == 1
    assert sum(process.does(Step(0))[0] for _ in range(5)) == 1


evidence = st.builds(
    Evidence,
    injection=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    harm=st.floats(0, 1),
    near_threshold=st.booleans(),
)
attack = st.one_of(
    st.builds(
        Sighting,
        principal=st.sampled_from(["attacker", "accomplice", "another"]),
        address=st.sampled_from(["there", "elsewhere", "here"]),
        knobs=st.just(Knobs()),
        evidence=evidence,
        tokens=st.integers(1, 25_000),
        similarity=st.floats(0, 1),
        pattern=st.sampled_from([0, 0b1111, CAMPAIGN]),
    ),
    st.builds(RefusedKey, address=st.sampled_from(["there", "here"]), credential=st.integers(1, 2**64 - 1)),
)
campaigns = st.tuples(attack, st.integers(1, 15)).map(lambda drawn: [drawn[0]] * drawn[1])
waves = st.lists(
    st.tuples(st.integers(0, 20 * SECOND), st.lists(campaigns, max_size=3).map(lambda each: [*chain(*each)])),
    min_size=1,
    max_size=10,
)


@settings(max_examples=100, deadline=None)
@given(attack=waves, who=st.sampled_from([ESTABLISHED, ANALYST, AGENT]))
def test_no_attack_lowers_the_room_of_who_has_nothing_to_do_with_it(attack: Attack, who: Bystander) -> None:
    with_attack = asyncio.run(Village(who).lives(attack))
    without = asyncio.run(Village(who).lives([(wait_us, []) for wait_us, _ in attack]))
    assert [admission.states for admission in with_attack] == [admission.states for admission in without]
    assert {admission.factor for admission in with_attack} == {1.0}


@settings(max_examples=100, deadline=None)
@given(attack=waves)
def test_no_attack_with_keys_lowers_the_room_of_who_sends_none_from_that_address(attack: Attack) -> None:
    keyed = [(wait_us, [each for each in seen if isinstance(each, Sighting)]) for wait_us, seen in attack]
    assert rooms(Village(ANONYMOUS), keyed) == rooms(Village(ANONYMOUS), quiet(attack))


@settings(max_examples=100, deadline=None)
@given(attack=waves)
def test_no_attack_of_established_or_anonymous_senders_lowers_the_room_of_newcomers_at_their_address(
    attack: Attack,
) -> None:
    sent = [(wait, [each for each in seen if isinstance(each, Sighting)]) for wait, seen in attack]
    anonymous = [(wait, [replace(each, principal=each.address) for each in seen]) for wait, seen in sent]
    old = [(wait, [replace(each, principal="old hand", pattern=0) for each in seen]) for wait, seen in sent]
    for history in (anonymous, old):
        village, alone = Village(NEWCOMER), Village(NEWCOMER)
        for each in (village, alone):
            asyncio.run(becomes_established(each, "old hand"))
        assert rooms(village, history) == rooms(alone, quiet(attack))


@settings(max_examples=100, deadline=None)
@given(attack=waves)
def test_no_attack_with_one_new_key_lowers_the_room_of_newcomers_at_its_address(attack: Attack) -> None:
    alone = [
        (wait, [replace(each, principal="attacker", address="here") for each in seen if isinstance(each, Sighting)])
        for wait, seen in attack
    ]
    assert rooms(Village(NEWCOMER), alone) == rooms(Village(NEWCOMER), quiet(attack))


@settings(max_examples=100, deadline=None)
@given(attack=waves)
def test_no_attack_lowers_the_room_of_who_was_at_the_address_before_with_one_good_request(attack: Attack) -> None:
    village, alone = Village(NEWCOMER), Village(NEWCOMER)
    for each in (village, alone):
        asyncio.run(comes_by(each))
    assert rooms(village, attack) == rooms(alone, quiet(attack))


@pytest.mark.parametrize("who", [ANALYST, AGENT])
def test_who_quotes_a_hot_campaign_or_passes_it_on_keeps_all_room(who: Bystander) -> None:
    heating = [Sighting(f"key {n}", f"addr {n}", Knobs(), SURE, 50, pattern=CAMPAIGN) for n in range(20)]
    village = Village(who)
    admissions = asyncio.run(village.lives([(SECOND, heating), *[(20 * SECOND, heating[:3])] * 60]))
    assert len(village.states._patterns) >= 1
    assert {admission.factor for admission in admissions} == {1.0}
    assert all(admission.allowed for admission in admissions)
