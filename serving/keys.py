"""API keys: made, listed, disabled, and recognised without a Redis round trip.

Redis holds one hash, `SHA-256(secret) -> record`. A secret is 256 random bits, so a plain hash is right: there is
nothing to guess, and a slow password hash would only cost every request its milliseconds. Each worker keeps the
whole table in memory, so known keys go on working while Redis is away. A marker beside the table changes with it;
reading the marker twice a second brings a disabled key to every replica within a second. The commands are
`python -m serving.keys create|list|disable`.

    KeyRefused
    ├── UnknownKey     no such key
    └── DisabledKey    it was disabled, or its time is over
    KeysUnavailable    Redis is away and the key is not in memory: not known to be good, not known to be bad
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import orjson
from pydantic import TypeAdapter, ValidationError

from serving.embedded_redis import EmbeddedRedisError
from serving.redis_connection import Connection, RedisError, Script
from serving.settings import Settings

# One hash tag, so that a change of the table and its marker is one transaction on a Redis Cluster too.
TABLE: Final = "weir:{keys}:table"
MARKER: Final = "weir:{keys}:marker"
_SECRET: Final = re.compile(r"wr_[A-Za-z0-9_-]{43}")
_SCAN_COUNT: Final = 500
# One step: a disabled key whose marker never changed would stay good in every replica's memory.
_PUT: Final = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
"""


log = logging.getLogger("weir.keys")

KeyTier = Literal["authenticated", "internal"]


class KeyRefused(Exception):  # noqa: N818  the caller's fault, not ours
    """The presented secret opens nothing."""


class UnknownKey(KeyRefused):
    """No key has this secret."""


class DisabledKey(KeyRefused):
    """The key was disabled or has expired."""


class KeysUnavailable(Exception):  # noqa: N818  named like the other unavailabilities
    """Redis is away, so the key can be neither accepted nor refused."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of one API key. Times are seconds since the epoch; `expires` None is never."""

    id: str
    tier: KeyTier
    name: str
    created: float
    expires: float | None = None
    disabled: bool = False

    @property
    def principal(self) -> str:
        """Whom the limits count."""
        return self.id

    def usable(self, now: float) -> bool:
        """Whether the key opens anything at that time."""
        return not self.disabled and (self.expires is None or now < self.expires)


def hash_secret(secret: str) -> str:
    """What is stored instead of the secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_secret() -> str:
    """A fresh secret: `wr_` and 256 random bits."""
    return f"wr_{secrets.token_urlsafe(32)}"


_STORED: Final = TypeAdapter(Key)


class KeyTable:
    """The keys in Redis."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def create(
        self, *, tier: KeyTier, name: str, now: float, expires: float | None = None, secret: str | None = None
    ) -> tuple[Key, str]:
        """Store a new key; returns it with its secret, which is kept nowhere. Raises :class:`RedisError`."""
        secret = secret or new_secret()
        hashed = hash_secret(secret)
        key = Key(id=f"key_{hashed[:16]}", tier=tier, name=name, created=now, expires=expires)
        await self._put(hashed, key)
        return key, secret

    async def disable(self, key_id: str) -> Key:
        """Close a key for good. KeyError if there is no such key; raises :class:`RedisError`."""
        for hashed, key in (await self.read()).items():
            if key.id == key_id:
                closed = replace(key, disabled=True)
                await self._put(hashed, closed)
                return closed
        raise KeyError(key_id)

    async def read(self) -> dict[str, Key]:
        """All keys by the hash of their secret. Raises :class:`RedisError`."""
        table: dict[str, Key] = {}
        cursor = 0
        while True:
            # In steps, because one large HGETALL could outlast the timeout of a single call.
            cursor, part = await self._redis.execute("HSCAN", TABLE, cursor, "COUNT", _SCAN_COUNT)
            for hashed, record in zip(part[::2], part[1::2], strict=True):
                if key := _key(record):
                    table[hashed.decode("ascii", "replace")] = key
            if int(cursor) == 0:
                return table

    async def marker(self) -> bytes | None:
        """A value that is another one after every change. Raises :class:`RedisError`."""
        marker: bytes | None = await self._redis.execute("GET", MARKER)
        return marker

    async def _put(self, hashed: str, key: Key) -> None:
        # The marker is random instead of counted, so that a Redis that lost its last second cannot repeat one.
        record, marker = orjson.dumps(key), secrets.token_hex(8)
        await self._redis.run_script(Script(_PUT), (TABLE, MARKER), (hashed, record, marker))


def _key(record: bytes) -> Key | None:
    """The stored key; None for a record that somebody damaged, which must not take all other keys with it."""
    try:
        key = _STORED.validate_json(record)
    except ValidationError:
        log.error("a damaged key record is left out")  # noqa: TRY400  a trace would hold the record
        return None
    return key


class KeyRing:
    """The keys in this worker's memory, never more than `poll_s` behind Redis while it answers."""

    def __init__(self, table: KeyTable, *, clock: Callable[[], float], poll_s: float = 0.5) -> None:
        self._table = table
        self._clock = clock
        self._poll_s = poll_s
        self._keys: Mapping[str, Key] = {}
        self._marker: bytes | None = None
        self._refreshing = asyncio.Lock()
        self._started = 0
        self._completed = 0

    async def resolve(self, secret: str) -> Key:
        """The usable key with this secret.

        A secret that is not in memory may be a second old, so Redis is asked whether the table has changed; callers
        that wait at the same time share the question. Raises :class:`UnknownKey`, :class:`DisabledKey`, or
        :class:`KeysUnavailable` when Redis cannot say.
        """
        if not _SECRET.fullmatch(secret):
            raise UnknownKey
        # A lookup by hash needs no constant-time comparison: what its timing tells is a hash, not the secret.
        hashed = hash_secret(secret)
        key = self._keys.get(hashed)
        if key is None:
            await self._catch_up()
            key = self._keys.get(hashed)
        if key is None:
            raise UnknownKey
        if not key.usable(self._clock()):
            raise DisabledKey
        return key

    async def refresh(self) -> None:
        """Bring memory up to date. Raises :class:`RedisError`, and then keeps what it has."""
        async with self._refreshing:
            await self._refresh()

    async def run(self) -> None:
        """Refresh for as long as the service lives; a task of its own."""
        while True:
            try:
                await self.refresh()
            except RedisError:
                pass  # the connection reports its own state; the keys here stay good
            except Exception as error:  # noqa: BLE001  were this task to end, a disabled key would stay good for ever
                log.error("the keys cannot be read", extra={"error": type(error).__name__})  # noqa: TRY400  no trace
            await asyncio.sleep(self._poll_s)

    async def _catch_up(self) -> None:
        seen = self._started
        async with self._refreshing:
            if self._completed > seen:
                return  # somebody else's refresh began after this caller arrived
            try:
                await self._refresh()
            except RedisError as error:
                raise KeysUnavailable from error

    async def _refresh(self) -> None:
        self._started += 1
        number = self._started
        marker = await self._table.marker()
        if marker != self._marker:
            # The marker is read before the table, so a change in between is seen at the next look.
            self._keys = await self._table.read()
            self._marker = marker
        self._completed = number


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="Make, list and disable API keys.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--tier", required=True, choices=get_args(KeyTier))
    create.add_argument("--name", required=True, help="whose key it is; for people, never shown to callers")
    create.add_argument("--expires", type=_end_of_life, help="a date (2027-01-31, UTC) or a number of days (90d)")
    commands.add_parser("list", help="show all keys, without their secrets")
    disable = commands.add_parser("disable", help="close a key for good, within a second on all replicas")
    disable.add_argument("id", help="the key's id, as list shows it")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_command(options, Settings()))
    except (RedisError, EmbeddedRedisError) as error:
        sys.stderr.write(f"Redis cannot be reached: {error}\n")
        return 1


async def _command(options: argparse.Namespace, settings: Settings) -> int:
    # A person can wait longer for Redis than a request can.
    async with Connection(settings.redis_url, settings.state_dir, timeout_s=5.0) as redis:
        table = KeyTable(redis)
        if options.command == "create":
            key, secret = await table.create(
                tier=options.tier, name=options.name, now=time.time(), expires=options.expires
            )
            sys.stderr.write(f"{key.id} ({key.tier}): this is the only time that its secret is shown\n")
            sys.stdout.write(f"{secret}\n")
        elif options.command == "list":
            for key in sorted((await table.read()).values(), key=lambda key: key.created):
                sys.stdout.write(f"{_line(key, time.time())}\n")
        else:
            try:
                key = await table.disable(options.id)
            except KeyError:
                sys.stderr.write(f"there is no key {options.id}\n")
                return 1
            sys.stderr.write(f"{key.id} is disabled\n")
    return 0


def _end_of_life(text: str) -> float:
    if text.endswith("d") and text[:-1].isdecimal():
        return time.time() + int(text[:-1]) * 86_400
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 2027-01-31 or 90d, got {text!r}") from None


def _line(key: Key, now: float) -> str:
    state = "disabled" if key.disabled else "active" if key.usable(now) else "expired"
    expires = "never" if key.expires is None else _day(key.expires)
    return f"{key.id}  {key.tier:13}  {state:8}  created {_day(key.created)}  expires {expires:10}  {key.name}"


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(_main())
