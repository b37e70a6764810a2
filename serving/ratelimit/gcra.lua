-- Admits a demand against all limits of one principal, or charges nothing.
-- The rule of limits.weigh, on the server's clock. All times are whole microseconds.
--
-- KEYS[1]       sorted set: lease id -> time at which the lease lapses
-- KEYS[2]       what is remembered of the principal's behaviour; only its standing is read
-- KEYS[3]       debts: the names of limits, a zero byte, and for each the time as a double at which all is paid back
-- ARGV[1]       lease id
-- ARGV[2]       doubles: factor, allowed leases (0: any number), lifetime of a lease, then for each limit interval
--               (per unit), window (interval * burst), cost (units), whether the factor applies, debt known to the asker
-- ARGV[3]       doubles, packed as Adaptation.pack does it; empty to leave the behaviour aside
-- ARGV[4]       the standing that the asker remembers, its times counted from now; empty for none
-- ARGV[5]       the names of the limits in their order, each with a comma behind it
-- returns       8-byte integers: admitted, leases full, leases held, time, per limit ahead, remaining, retry;
--               behind them the standing
--
-- A call into Redis costs more than all of the arithmetic, so there are few. Redis writes a number of Lua's in 17
-- digits, and a time has 16. Tables are made with room for four limits, as one that grows is copied.

local MARGIN_MS = 1000 -- a key outlives its debt a little, so that a small step of the clock forgets nothing
local call, max, min, ceil, floor = redis.call, math.max, math.min, math.ceil, math.floor

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local doubles = '<' .. string.rep('d', #ARGV[2] / 8)
local numbers = { struct.unpack(doubles, ARGV[2]) }
local factor, allowed_leases, lease_us = numbers[1], numbers[2], numbers[3]
local values = call('MGET', KEYS[2], KEYS[3])
local names = ARGV[5]
local limits = (#ARGV[2] / 8 - 3) / 5

-- The debts of the demand's limits in their order, and what is still owed on limits that this demand does not name:
-- a policy may have changed, and an address owes for keys that open nothing apart from its requests.
local owed, other_names, other_debts, last = {}, '', '', now
local book = values[2] or ''
local head = #names + 1
if #book == head + 8 * limits and book:sub(1, head) == names .. '\0' then
    owed = { struct.unpack(doubles:sub(1, 1 + limits), book, head + 1) }
elseif book ~= '' then
    local at, found = book:find('\0', 1, true) + 1, {}
    for name in book:sub(1, at - 2):gmatch('([^,]+),') do
        found[name], at = struct.unpack('<d', book, at)
    end
    for name in names:gmatch('([^,]+),') do
        owed[#owed + 1], found[name] = found[name] or 0, nil
    end
    for name, paid_back in pairs(found) do
        if paid_back > now - MARGIN_MS * 1000 then
            other_names, other_debts = other_names .. name .. ',', other_debts .. struct.pack('<d', paid_back)
            last = max(last, paid_back)
        end
    end
end

-- The rules of standing.counting and standing.price: the caller's own factor, the longest charge, a wait, a ban.
local STANDING_BYTES, LATENESS, UNTROUBLED = 18 * 8, 1e5, 600e6
local standing, own, longest, wait, banned, most = '', 1, 0, 0, false, 0
if ARGV[3] ~= '' then
    local floor, ceiling, cool_down, recovery, longest_debt, enforced, at_address, address_wait, trouble =
        struct.unpack('<ddddddddd', ARGV[3])
    most = longest_debt
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
    local known = call('ZCARD', KEYS[1])
    if known > 0 then held = call('ZCOUNT', KEYS[1], now + 1, now + lease_us) end
    if held < known then
        call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
        call('ZREMRANGEBYSCORE', KEYS[1], now + lease_us + 1, '+inf')
    end
    if held >= allowed_leases then full = 1 end
end

local admitted = (full == 1 or banned) and 0 or 1
local prices, charges, aheads, retries = { 1, 1, 1, 1 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
local changed = false
for i = 1, limits do
    local at = 5 * i - 1
    local interval, window, cost, adaptive, known =
        numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4]
    local promised, price, longest_charge, refusal = 1, 1, 0, 0
    if adaptive == 1 then promised, price, longest_charge, refusal = factor, lowered, longest, wait end
    local charge = ceil(cost * interval / price)
    if longest_charge > 0 then
        charge = min(charge, max(ceil(cost * interval / promised), longest_charge))
    end
    owed[i] = owed[i] or 0
    local ahead = max(owed[i] - now, known)
    ahead = min(ahead, max(ceil(window / promised), longest_charge))
    -- more than anybody can owe, whoever asks: the clock jumped back, and what is owed counts down from here
    local possible = max(ceil(window / promised), adaptive == 1 and most or 0)
    if owed[i] - now > possible then owed[i], changed = now + ahead, true end
    local retry = max(ahead + charge - max(window, charge), refusal)
    if retry > 0 then admitted = 0 end
    prices[i], charges[i], aheads[i], retries[i] = price, charge, ahead, retry
end

local rows = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
for i = 1, limits do
    local ahead, at = aheads[i], 3 * i - 2
    if admitted == 1 and (charges[i] > 0 or ahead > max(owed[i] - now, 0)) then
        ahead = ahead + charges[i]
        owed[i], changed = now + ahead, true
    end
    last = max(last, owed[i])
    local remaining = floor(max(numbers[5 * i] - ahead, 0) * prices[i] / numbers[5 * i - 1])
    if ahead == 0 then remaining = max(remaining, 1) end
    rows[at], rows[at + 1], rows[at + 2] = ahead, remaining, retries[i]
end
if changed then
    local debts = struct.pack(doubles:sub(1, 1 + limits), unpack(owed, 1, limits))
    local ttl_ms = ceil((last - now) / 1000) + MARGIN_MS
    call('SET', KEYS[3], names .. other_names .. '\0' .. debts .. other_debts, 'PX', ttl_ms)
end
if admitted == 1 and allowed_leases > 0 then
    call('ZADD', KEYS[1], now + lease_us, ARGV[1])
    call('PEXPIRE', KEYS[1], ceil(lease_us / 1000) + MARGIN_MS)
    held = held + 1
end
return struct.pack('<' .. string.rep('i8', 4 + 3 * limits), admitted, full, held, now, unpack(rows, 1, 3 * limits)) .. standing
