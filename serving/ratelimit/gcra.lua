-- Admits a demand against all limits of one principal, or charges nothing.
-- The rule of limits.weigh, on the server's clock. All times are whole microseconds.
--
-- KEYS[1]       sorted set: lease id -> time at which the lease lapses
-- KEYS[2..]     one string per limit: the time at which all is paid back
-- ARGV[1..4]    factor, lease id, allowed leases (0: any number), lifetime of a lease
-- ARGV[5..]     per limit: interval (per unit), window (interval * burst), cost (units), whether the factor applies
-- returns       admitted, leases full, leases held, then per limit: ahead, remaining, retry
--
-- Numbers are written with %.0f: Lua's own tostring keeps 14 digits, and a time has 16.

local MARGIN_MS = 1000 -- a key outlives its debt a little, so that a small step of the clock forgets nothing

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local factor = tonumber(ARGV[1])
local lease, allowed_leases, lease_us = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local held, full = 0, 0
if allowed_leases > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
    -- a lease from beyond its lifetime was taken before the clock jumped back
    redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('(%.0f', now + lease_us), '+inf')
    held = redis.call('ZCARD', KEYS[1])
    if held >= allowed_leases then full = 1 end
end

local admitted = 1 - full
local paid_back = #KEYS > 1 and redis.call('MGET', unpack(KEYS, 2)) or {}
local limits = {}
for i = 1, #KEYS - 1 do
    local interval, window, cost = tonumber(ARGV[4 * i + 1]), tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
    local price = ARGV[4 * i + 4] == '1' and factor or 1
    local charge = math.ceil(cost * interval / price)
    local ahead = math.max((tonumber(paid_back[i]) or now) - now, 0)
    ahead = math.min(ahead, math.ceil(window / price))
    local retry = math.max(ahead + charge - math.max(window, charge), 0)
    if retry > 0 then admitted = 0 end
    limits[i] = { interval = interval, window = window, price = price, charge = charge, ahead = ahead, retry = retry }
end

if admitted == 1 and allowed_leases > 0 then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease_us), lease)
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(lease_us / 1000) + MARGIN_MS))
    held = held + 1
end

local reply = { admitted, full, held }
for i, limit in ipairs(limits) do
    local ahead = limit.ahead
    if admitted == 1 and limit.charge > 0 then
        ahead = ahead + limit.charge
        local ttl_ms = math.ceil(ahead / 1000) + MARGIN_MS
        redis.call('SET', KEYS[i + 1], string.format('%.0f', now + ahead), 'PX', string.format('%.0f', ttl_ms))
    end
    local remaining = math.floor(math.max(limit.window - ahead, 0) * limit.price / limit.interval)
    if ahead == 0 then remaining = math.max(remaining, 1) end
    reply[#reply + 1] = ahead
    reply[#reply + 1] = remaining
    reply[#reply + 1] = limit.retry
end
return reply
