"""Virtual time, for Redis too: the production scripts run unchanged, but ask a clock that the simulator sets.

Before a script goes a short prelude that hides ``redis`` behind a table of its own, however the script may call it. It
answers ``TIME`` with the virtual time and notes every expiry against it; keys whose virtual time is over are deleted
before a script reads anything. So what Redis forgets, and when, is simulated too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from serving.redis_connection import Connection, Script
from serving.redis_wire import Reply as RedisReply
from serving.redis_wire import Word

_PRELUDE: Final = """
local server, redis = redis, nil
local sim_now = tonumber(table.remove(ARGV))
for _, due in ipairs(server.call('ZRANGEBYSCORE', 'sim:expiries', '-inf', string.format('%.0f', sim_now))) do
    server.call('DEL', due)
    server.call('ZREM', 'sim:expiries', due)
end
local function sim_expire(key, us)
    server.call('ZADD', 'sim:expiries', string.format('%.0f', sim_now + us), key)
end
local function sim_call(command, key, ...)
    local name = string.upper(command)
    if name == 'TIME' then
        return { string.format('%.0f', math.floor(sim_now / 1000000)), string.format('%.0f', sim_now % 1000000) }
    elseif name == 'PEXPIRE' then
        sim_expire(key, tonumber((...)) * 1000)
        return server.call('EXISTS', key)
    elseif name == 'EXPIRE' then
        sim_expire(key, tonumber((...)) * 1000000)
        return server.call('EXISTS', key)
    elseif name == 'PSETEX' or name == 'SETEX' then
        local ttl, value = ...
        sim_expire(key, tonumber(ttl) * (name == 'SETEX' and 1000000 or 1000))
        return server.call('SET', key, value)
    elseif name == 'SET' then
        local words, kept = { ... }, {}
        server.call('ZREM', 'sim:expiries', key)
        local at = 1
        while at <= #words do
            local word = at > 1 and string.upper(tostring(words[at])) or ''
            if word == 'PX' or word == 'EX' then
                sim_expire(key, tonumber(words[at + 1]) * (word == 'EX' and 1000000 or 1000))
                at = at + 1
            else
                kept[#kept + 1] = words[at]
            end
            at = at + 1
        end
        return server.call('SET', key, unpack(kept))
    end
    if key == nil then return server.call(command) end
    return server.call(command, key, ...)
end
redis = setmetatable({ call = sim_call, pcall = sim_call }, { __index = server })
"""


class VirtualClock:
    """Microseconds since the epoch that only the simulator moves, never backwards."""

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self.start_us = start_us
        self.now_us = start_us

    def advance_to(self, at_us: int) -> None:
        """Move to ``at_us`` of the run, counted from its start."""
        self.now_us = max(self.now_us, self.start_us + at_us)

    def seconds(self) -> float:
        """The time as ``time.time`` would give it."""
        return self.now_us / 1_000_000

    def micros(self) -> int:
        """The time in whole microseconds."""
        return self.now_us


def on_virtual_time(script: str) -> str:
    """The script, to be run with the virtual time in microseconds as one more, last argument."""
    return _PRELUDE + script


class VirtualConnection(Connection):
    """A connection whose scripts run on virtual time."""

    def __init__(self, clock: VirtualClock, state_dir: Path) -> None:
        super().__init__(None, state_dir, timeout_s=10.0)
        self._clock = clock
        self._scripts: dict[str, Script] = {}
        self.calls = 0

    async def run_script(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> RedisReply:
        """As :meth:`Connection.run_script`, with the virtual time as one more, last argument."""
        if script.sha not in self._scripts:
            self._scripts[script.sha] = Script(on_virtual_time(script.text))
        self.calls += 1
        return await super().run_script(self._scripts[script.sha], keys, [*args, self._clock.now_us])
