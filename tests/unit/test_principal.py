"""Who a caller is taken for, by headers and address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from serving.principal import address_id, forwarded_address, presented_secret

SECRET = b"a secret for tests"
PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], "203.0.113.7"),  # the client wrote the first one itself
        (["203.0.113.7, 10.1.1.1"], "203.0.113.7"),  # a chain of two proxies
        (["203.0.113.7", "10.1.1.1"], "203.0.113.7"),  # in two header lines
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2"),  # all trusted: the one farthest away
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, unknown"], "10.0.0.1"),  # malformed: the peer
        (["203.0.113.7, "], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["203.0.113.999"], "10.0.0.1"),
        (["not an address, 203.0.113.7"], "203.0.113.7"),  # what the client wrote is never looked at
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(forwarded: list[str], client: str) -> None:
    assert forwarded_address(forwarded, "10.0.0.1", PROXIES) == client


@given(st.lists(st.text(max_size=50), min_size=1, max_size=5))
def test_no_forwarded_header_raises_or_yields_anything_but_an_address(forwarded: list[str]) -> None:
    ipaddress.ip_address(forwarded_address(forwarded, "10.0.0.1", PROXIES) or "")


def test_all_addresses_of_one_ipv6_subscriber_are_one_principal() -> None:
    assert address_id("2001:db8:1:2::1", SECRET) == address_id("2001:db8:1:2:ffff::9", SECRET)
    assert address_id("2001:db8:1:2::1", SECRET) != address_id("2001:db8:1:3::1", SECRET)


def test_every_ipv4_address_is_its_own_principal() -> None:
    assert address_id("203.0.113.7", SECRET) != address_id("203.0.113.8", SECRET)


def test_an_ipv4_address_on_a_dual_stack_socket_is_the_same_principal() -> None:
    assert address_id("::ffff:203.0.113.7", SECRET) == address_id("203.0.113.7", SECRET)


def test_an_address_cannot_be_told_from_its_id_without_the_secret() -> None:
    ours = address_id("203.0.113.7", SECRET)
    assert ours.startswith("addr_")
    assert ours != address_id("203.0.113.7", b"another secret")


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({}, None),
        ({"Authorization": "Bearer wr_x"}, "wr_x"),
        ({"authorization": "bearer  wr_x "}, "wr_x"),
        ({"X-API-Key": " wr_x "}, "wr_x"),
        ({"X-API-Key": "wr_x", "Authorization": "Bearer of-the-model-behind"}, "wr_x"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "Basic dXNlcjpwYXNz"),
        ({"Authorization": ""}, ""),
        ({"X-API-Key": ""}, ""),
    ],
)
def test_whatever_looks_like_a_credential_is_taken_for_a_key(headers: dict[str, str], secret: str | None) -> None:
    assert presented_secret(Headers(headers)) == secret


def test_two_keys_in_one_request_are_no_key() -> None:
    secret = presented_secret(Headers(raw=[(b"x-api-key", b"wr_a"), (b"x-api-key", b"wr_b")]))
    assert secret not in (None, "wr_a", "wr_b")
