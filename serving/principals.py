"""What an operator can see of a caller and do about it: `python -m serving.principals show|reset|pin|ban|log`.

A caller is a key's id, a caller named behind a key (`key_…:name`), an address's id (`addr_…`: who sends no key from
there; `addr_…:newcomers`: the newcomers with keys) or an IP address, whose id is worked out here. Every change is one
write to the state that admission reads, so it holds from the next request on, on all replicas (for newcomers within
seconds: their standing is read beside the request), and is in the audit log before it is made.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from serving import admission
from serving.anomaly.signals import shares
from serving.anomaly.standing import SECOND_US
from serving.audit import AuditLog, Deed
from serving.callers import Callers, Found, NoSuchCallerError
from serving.embedded_redis import EmbeddedRedisError
from serving.policy import PolicyError, load_policy
from serving.redis_connection import Connection, RedisError
from serving.settings import Settings

SHOWN: Final = 50
_LIFTED: Final = "none"


def describe(found: Found) -> str:
    """A caller in lines for a terminal."""
    standing = found.standing
    lines = [f"{found.principal}  {found.tier.name}", f"factor     {_factor(found)}"]
    if not standing.seen_us:  # nothing remembered, or nothing but an operator's word
        return "\n".join([*lines, "history    not seen for a day", *_room(found)])
    ago = (found.now_us - standing.seen_us) // SECOND_US
    lines.append(f"score      {standing.score:.3f} when last seen, {_duration(ago)} ago")
    signals = standing.signals
    lines += [f"  {signal:18} {signals[signal]:5.2f}  {share:4.0%}" for signal, share in shares(signals).items()]
    history = f"{standing.good} good requests since {_moment(standing.since_us)}"
    if standing.bad_us:
        history += f"; last offence {_moment(standing.bad_us)}"
    return "\n".join([*lines, f"history    {history}", *_room(found)])


def _factor(found: Found) -> str:
    standing, adaptive, price_now = found.standing, found.tier.adaptive, found.price
    if price_now.banned:
        return "0 (banned)"
    if standing.pin > 0:
        return f"{standing.pin:g} (pinned)"
    if not price_now.lowered:
        return f"{price_now.factor:g} ({adaptive.mode})"
    whole_us = standing.bad_us + (adaptive.cool_down_s + adaptive.recovery_s) * SECOND_US
    wait_s = max(int((whole_us - found.now_us) // SECOND_US), 0)
    return f"{price_now.factor:.4g} ({adaptive.mode}); all back within {_duration(wait_s)} of good behaviour"


def _room(found: Found) -> list[str]:
    limits = admission.limits(found.tier)
    rooms = [
        f"{row.remaining:,} of {limit.burst:,} {limit.name}" for limit, row in zip(limits, found.rows, strict=True)
    ]
    return [f"room       {'; '.join(rooms)}", f"leases     {found.held} of {found.tier.limits.concurrent}"]


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _moment(time_us: float) -> str:
    return datetime.fromtimestamp(time_us / SECOND_US, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_command(options, Settings()))
    except (RedisError, EmbeddedRedisError) as error:
        sys.stderr.write(f"Redis cannot be reached: {error}\n")
    except (NoSuchCallerError, PolicyError) as error:
        sys.stderr.write(f"{error}\n")
    return 1


async def _command(options: argparse.Namespace, settings: Settings) -> int:
    policy = load_policy(settings.policy_path)
    secret = settings.address_hash_secret
    # A person can wait longer for Redis than a request can.
    async with Connection(settings.redis_url, settings.state_dir, timeout_s=5.0) as redis:
        given = None if secret is None else secret.get_secret_value().encode()
        callers, audit = Callers(redis, policy, address_secret=given), AuditLog(redis)
        if options.command == "log":
            for deed in await audit.latest(options.count):
                sys.stdout.write(f"{_line(deed)}\n")
            return 0
        if options.caller is None:
            await _list(callers)
            return 0
        principal, tier = await callers.named(options.caller)
        found = await callers.look(principal, tier)
        if options.command != "show":
            await audit.record(_deed(options, found))
            await _change(options, callers, found)
            found = await callers.look(principal, tier)
        sys.stdout.write(f"{describe(found)}\n")
    return 0


async def _list(callers: Callers) -> None:
    held = await callers.held()
    for found in held[:SHOWN]:
        leading = ", ".join(list(shares(found.standing.signals))[:2])
        sys.stdout.write(f"{found.principal}  score {found.standing.score:.3f}  factor {_factor(found)}  {leading}\n")
    sys.stderr.write(f"{len(held)} callers are lowered, pinned or banned\n")


async def _change(options: argparse.Namespace, callers: Callers, found: Found) -> None:
    match options.command:
        case "reset":
            await callers.reset(found.principal, found.tier)
        case "pin":
            await callers.pin(found.principal, options.factor)
        case "ban":
            await callers.pin(found.principal, 0.0)


def _deed(options: argparse.Namespace, found: Found) -> Deed:
    standing = found.standing
    value = ("none" if options.factor is None else f"{options.factor:g}") if options.command == "pin" else ""
    before = {"factor": found.price.factor, "pin": standing.pin, "score": round(standing.score, 4)}
    return Deed(time.time(), options.by or _user(), options.command, found.principal, value, options.reason, before)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def _line(deed: Deed) -> str:
    why = f"  {deed.reason}" if deed.reason else ""
    was = f"factor {deed.before.get('factor', 1):.4g}, score {deed.before.get('score', 0):g}"
    what = f"{deed.action} {deed.value}".strip()
    return f"{_moment(deed.time * SECOND_US)}  {deed.operator}  {what:9}  {deed.principal}  (was {was}){why}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.principals", description="Look at callers and act on them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="what is known of a caller; without one: who is lowered")
    show.add_argument("caller", nargs="?", help="key_…, key_…:name, addr_… or an IP address")
    changes = {
        "reset": "forget a caller's behaviour, pin and debts",
        "pin": "fix a caller's factor until it is lifted",
        "ban": "shut a caller out (403) until `pin CALLER none` or `reset`",
    }
    for name, text in changes.items():
        change = commands.add_parser(name, help=text)
        change.add_argument("caller", help="key_…, key_…:name, addr_… or an IP address")
        if name == "pin":
            change.add_argument("factor", type=_pinned, help="above 0 and up to 1, or none to let it adapt again")
        change.add_argument("--reason", default="", type=_one_line, help="why; kept in the audit log")
        change.add_argument("--by", type=_one_line, help="who (default: the user)")
    log = commands.add_parser("log", help="what operators did, the latest first")
    log.add_argument("--count", type=int, default=20, help="how many deeds (%(default)s)")
    return parser


def _pinned(text: str) -> float | None:
    if text == _LIFTED:
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1:
        raise argparse.ArgumentTypeError(f"expected a factor above 0 and up to 1, or none, got {text!r}")
    return factor


def _one_line(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise argparse.ArgumentTypeError("expected one line of at most 200 characters")
    return text


if __name__ == "__main__":
    sys.exit(_main())
