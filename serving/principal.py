"""Who asks: an API key, or a client address.

A caller with a key is that key; a caller without one is its address, as a keyed hash, so that neither the event log
nor Redis ever holds an address. `X-Forwarded-For` is believed from trusted proxies and from keys of the internal
tier; `X-Weir-Principal` from internal keys only. From anybody else both are ignored and counted, not refused:
gateways pass their clients' headers through, and no client should be able to break its own gateway's requests.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from serving.errors import CannotJudge, InvalidRequest, Unauthenticated
from serving.keys import Key, KeyRefused, KeyRing, KeysUnavailable
from serving.redis_connection import Connection, RedisDown, RedisError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

ADDRESS_SECRET: Final = "weir:{keys}:address-secret"  # noqa: S105  where the secret lies, not the secret
_NAMED_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9._@:+/=-]{1,128}")
_WITH_PORT: Final = re.compile(r"(?P<v4>[0-9.]+):[0-9]{1,5}|\[(?P<v6>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a request is counted on. `address` is a keyed hash; both ids are opaque and safe to log."""

    principal: str
    tier: str
    address: str


class Headers(Protocol):
    """Request headers, names in any case; starlette's `Headers` is one."""

    def get(self, key: str) -> str | None:
        """The first value of a header."""
        ...

    def getlist(self, key: str) -> Sequence[str]:
        """All values of a header, in order."""
        ...


class Identity:
    """Finds the caller of a request.

    `address_secret` None takes the secret that all replicas of one Redis share. `on_ignored` is told the name of a
    header that the caller had no right to send.
    """

    def __init__(
        self,
        ring: KeyRing,
        redis: Connection,
        *,
        trusted_proxies: Sequence[Network],
        address_secret: bytes | None,
        on_ignored: Callable[[str], None],
    ) -> None:
        self._ring = ring
        self._redis = redis
        self._trusted = tuple(trusted_proxies)
        self._address_secret = address_secret
        self._on_ignored = on_ignored

    async def identify(self, headers: Headers, peer: str | None) -> Caller:
        """The caller; `peer` is the address at the other end of the connection, if it has one.

        Raises :class:`Unauthenticated` for a key that is unknown or disabled, never falling back to anonymous,
        :class:`InvalidRequest` for a malformed `X-Weir-Principal` of an internal key, and :class:`CannotJudge`
        while Redis is away and the key or the address cannot be told without it.
        """
        secret = presented_secret(headers)
        key = None if secret is None else await self._key(secret)
        internal = key is not None and key.tier == "internal"
        address = await self._address_id(self._client_address(headers, peer, believed=internal))
        named = headers.getlist("x-weir-principal")
        if named and not internal:
            self._on_ignored("x-weir-principal")
            named = ()
        if key is None:
            return Caller(principal=address, tier="anonymous", address=address)
        return Caller(principal=_principal(key, named), tier=key.tier, address=address)

    async def address(self, headers: Headers, peer: str | None) -> str:
        """The address of a caller whose key opens nothing. Raises :class:`CannotJudge` as :meth:`identify`."""
        return await self._address_id(self._client_address(headers, peer, believed=False))

    async def _key(self, secret: str) -> Key:
        try:
            return await self._ring.resolve(secret)
        except KeyRefused:
            raise Unauthenticated from None
        except KeysUnavailable:
            raise CannotJudge("The API key cannot be checked at the moment") from None

    def _client_address(self, headers: Headers, peer: str | None, *, believed: bool) -> str | None:
        forwarded = headers.getlist("x-forwarded-for")
        if not forwarded:
            return peer
        if not believed and not _is_trusted(peer, self._trusted):
            self._on_ignored("x-forwarded-for")
            return peer
        return forwarded_address(forwarded, peer, self._trusted)

    async def _address_id(self, address: str | None) -> str:
        if self._address_secret is None:
            try:
                self._address_secret = await shared_address_secret(self._redis)
            except RedisError:
                raise CannotJudge("The caller cannot be identified at the moment") from None
        return address_id(address, self._address_secret)


async def shared_address_secret(redis: Connection) -> bytes:
    """The installation's secret for hashing addresses, made by the first to ask. Raises :class:`RedisError`."""
    await redis.execute("SET", ADDRESS_SECRET, secrets.token_bytes(32), "NX")
    secret: bytes | None = await redis.execute("GET", ADDRESS_SECRET)
    if not secret:
        raise RedisDown("the address secret did not stay")  # evicted, or emptied: hashes without one hide nothing
    return secret


def presented_secret(headers: Headers) -> str | None:
    """The API key that a request carries, or None if it carries nothing that could be one.

    `X-API-Key` goes first, because a gateway may pass on an `Authorization` that is meant for the model behind it.
    Any other `Authorization` counts as a key: someone who shows a credential does not expect to be anonymous.
    """
    api_keys = headers.getlist("x-api-key")
    if api_keys:
        return api_keys[0].strip() if len(api_keys) == 1 else ",".join(api_keys)  # two keys are no key
    authorization = headers.get("authorization")
    if authorization is None:
        return None
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else authorization


def forwarded_address(forwarded: Iterable[str], peer: str | None, trusted: Sequence[Network]) -> str | None:
    """The client behind the proxies: the rightmost address that is not itself a trusted proxy.

    What stands left of it was written by the client and may be anything. A malformed entry on the way makes the
    chain worthless: the peer is answered for.
    """
    entries = [entry.strip() for line in forwarded for entry in line.split(",")]
    client = peer
    for entry in reversed(entries):
        address = _parsed(entry)
        if address is None:
            return peer
        client = str(address)
        if not _is_trusted(client, trusted):
            break
    return client


@functools.lru_cache(maxsize=4096)
def address_id(address: str | None, secret: bytes) -> str:
    """An opaque id for a client address: all of an IPv4 address, the /64 of an IPv6 one.

    A /64 is what one IPv6 subscriber gets; counting single addresses would hand each 2^64 quotas.
    """
    parsed = _parsed(address or "")
    if isinstance(parsed, ipaddress.IPv6Address):
        canonical = str(ipaddress.IPv6Network((parsed.packed[:8] + bytes(8), 64)))
    else:
        canonical = str(parsed) if parsed else "unknown"  # a peer on a unix socket has no address
    return "addr_" + hmac.new(secret, canonical.encode(), hashlib.sha256).hexdigest()[:24]


def _principal(key: Key, named: Sequence[str]) -> str:
    if not named:
        return key.principal
    if len(named) > 1:  # the client's own, which its gateway let through, and the gateway's
        raise InvalidRequest("X-Weir-Principal was sent more than once, so nobody can say which one counts")
    if not _NAMED_PRINCIPAL.fullmatch(named[0]):
        raise InvalidRequest("X-Weir-Principal must be 1 to 128 letters, digits or . _ @ : + / = -")
    # Inside the key's own name space, so that no gateway can speak for another key's callers.
    return f"{key.principal}:{named[0]}"


def _is_trusted(address: str | None, trusted: Sequence[Network]) -> bool:
    parsed = _parsed(address or "")
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port["v4"] or with_port["v6"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # The same client must be the same principal on a dual-stack socket.
    return getattr(address, "ipv4_mapped", None) or address
