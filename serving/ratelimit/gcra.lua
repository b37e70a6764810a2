-- Admits a demand against all limits of one principal, or charges nothing.
-- The rule of limits.weigh, on the server's clock. All times are whole microseconds.
--
-- KEYS[1]       sorted set: lease id -> time at which the lease lapses
-- KEYS[2]       what is remembered of the principal's behaviour; only its standing is read
-- KEYS[3..]     one string per limit: the time at which all is paid back
-- ARGV[1]       lease id
-- ARGV[2]       doubles: factor, allowed leases (0: any number), lifetime of a lease, then for each limit interval
--               (per unit), window (interval * burst), cost (units), whether the factor applies, debt known to the asker
-- ARGV[3]       doubles, packed as Adaptation.pack does it; empty to leave the behaviour aside
-- ARGV[4]       the standing that the asker remembers, its times counted from now; empty for none
-- returns       admitted, leases full, leases held, time, standing, then per limit: ahead, remaining, retry
--
-- Numbers are written with %.0f: Lua's own tostring keeps 14 digits, and a time has 16.

local MARGIN_MS = 1000 -- a key outlives its debt a little, so that a small step of the clock forgets nothing
local call, format, max, min, ceil = redis.call, string.format, math.max, math.min, math.ceil

local clock = call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local numbers = { struct.unpack('<' .. string.rep('d', #ARGV[2] / 8), ARGV[2]) }
local factor, allowed_leases, lease_us = numbers[1], numbers[2], numbers[3]
local values = call('MGET', unpack(KEYS, 2))

-- The rules of standing.counting and standing.price: the caller's own factor, the longest charge, a wait, a ban.
local STANDING_BYTES, LATENESS, UNTROUBLED = 18 * 8, 1e5, 600e6
local standing, own, longest, wait, banned = '', 1, 0, 0, false
if ARGV[3] ~= '' then
    local floor, ceiling, cool_down, recovery, longest_debt, enforced, at_address, address_wait, trouble =
        struct.unpack('<ddddddddd', ARGV[3])
    local cut, bad, since, good, pin, seen = ceiling, 0, 0, 0, -1, -math.huge
    local state = values[1] or ''
    if #state >= STANDING_BYTES then
        standing = state:sub(1, STANDING_BYTES)
        cut, bad, since, good, pin, seen = struct.unpack('<dddddd', state)
    end
    if ARGV[4] ~= '' then
        local lately, offence, first, decent = struct.unpack('<dddd', ARGV[4])
        if now + offence > seen + LATENESS then
            cut, bad, since, good = lately, now + offence, now + first, decent -- its pin does not count
        end
    end
    cut = max(cut, floor) + max(now - bad - cool_down, 0) / recovery * (ceiling - floor)
    if pin >= 0 then
        banned = pin == 0
        if pin > 0 and pin < 1 then own, longest = pin, longest_debt end
    elseif enforced == 1 then
        own = min(max(cut, floor), ceiling)
        local was_there = good > 0 and bad < since and since < now + trouble - UNTROUBLED
        if (good < 5 or now - since < 600e6) and not was_there then
            own = min(own, max(at_address, floor))
            wait = address_wait
        end
        if own < ceiling then longest = longest_debt end
    end
end
local lowered = factor * own

local held, full = 0, 0
if allowed_leases > 0 then
    -- a lease from beyond its lifetime was taken before the clock jumped back, and is as void as one that lapsed
    held = call('ZCOUNT', KEYS[1], format('(%.0f', now), format('%.0f', now + lease_us))
    if held < call('ZCARD', KEYS[1]) then
        call('ZREMRANGEBYSCORE', KEYS[1], '-inf', format('%.0f', now))
        call('ZREMRANGEBYSCORE', KEYS[1], format('(%.0f', now + lease_us), '+inf')
    end
    if held >= allowed_leases then full = 1 end
end

local admitted = (full == 1 or banned) and 0 or 1
local prices, charges, aheads, retries = {}, {}, {}, {}
for i = 1, #KEYS - 2 do
    local at = 5 * i - 1
    local interval, window, cost, adaptive, known =
        numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4]
    local promised, price, longest_charge, refusal = 1, 1, 0, 0
    if adaptive == 1 then promised, price, longest_charge, refusal = factor, lowered, longest, wait end
    local charge = ceil(cost * interval / price)
    if longest_charge > 0 then
        charge = min(charge, max(ceil(cost * interval / promised), longest_charge))
    end
    local ahead = max(tonumber(values[i + 1] or now) - now, known)
    ahead = min(ahead, max(ceil(window / promised), longest_charge))
    local retry = max(ahead + charge - max(window, charge), refusal)
    if retry > 0 then admitted = 0 end
    prices[i], charges[i], aheads[i], retries[i] = price, charge, ahead, retry
end

if admitted == 1 and allowed_leases > 0 then
    call('ZADD', KEYS[1], format('%.0f', now + lease_us), ARGV[1])
    call('PEXPIRE', KEYS[1], format('%.0f', ceil(lease_us / 1000) + MARGIN_MS))
    held = held + 1
end

local reply = { admitted, full, held, now, standing }
for i, ahead in ipairs(aheads) do
    if admitted == 1 and charges[i] > 0 then
        ahead = ahead + charges[i]
        local ttl_ms = ceil(ahead / 1000) + MARGIN_MS
        call('SET', KEYS[i + 2], format('%.0f', now + ahead), 'PX', format('%.0f', ttl_ms))
    end
    local interval, window, at = numbers[5 * i - 1], numbers[5 * i], 3 * i + 3
    local remaining = math.floor(max(window - ahead, 0) * prices[i] / interval)
    if ahead == 0 then remaining = max(remaining, 1) end
    reply[at], reply[at + 1], reply[at + 2] = ahead, remaining, retries[i]
end
return reply
