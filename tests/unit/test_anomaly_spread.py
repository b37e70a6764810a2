"""One key on many addresses: what is usual for it, and what is not."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.test_anomaly_controller import GOOD, Caller


def spread(caller: Caller, texts: int, addresses: int, every_s: float = 2) -> None:
    for number in range(texts):
        caller.sends(replace(GOOD, other=(number % addresses + 1) * 0x9E37_79B9_7F4A_7C15 % 2**64), every_s=every_s)


def test_one_key_on_ever_new_addresses_is_an_offence_and_on_a_few_is_not() -> None:
    leaked, roaming = Caller(), Caller()
    for caller in (leaked, roaming):
        spread(caller, 12, addresses=1, every_s=60)
    spread(leaked, 60, addresses=60)
    spread(roaming, 60, addresses=4)
    assert leaked.factor() < 1
    assert roaming.cuts == 0


def test_a_key_of_which_no_usual_number_of_addresses_is_known_is_not_blamed_for_many() -> None:
    caller = Caller()
    spread(caller, 250, addresses=250)
    assert caller.state
    assert (caller.state.count_norm, caller.cuts) == (0, 0)


def test_what_is_usual_after_ten_minutes_is_what_was_seen_in_them() -> None:
    backend = Caller()
    spread(backend, 40, addresses=40, every_s=14.9)
    assert backend.state
    counted = backend.state.count
    backend.sends(GOOD, every_s=60)
    assert backend.state.count_norm == counted > 35
    spread(backend, 200, addresses=40, every_s=15)
    assert backend.cuts == 0
