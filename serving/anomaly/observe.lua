-- What some requests teach about one caller: the rule of rule.py, on the server's clock.
--
-- KEYS[1]   the caller's state, packed as State.pack does it
-- ARGV[1]   knobs, twelve doubles, packed as store.pack_knobs does it
-- ARGV[2]   lifetime of the state in milliseconds
-- ARGV[3]   the standing that the asker remembers, its times counted from now; empty for none
-- ARGV[4..] observations, packed as Observation.pack does it, oldest first
-- returns   the standing (the state's first part), the server's time in microseconds, cuts made, whether it was
--           a newcomer with all its room before, and how many of the observations came before it was suspected
--
-- Every number is a double on both sides and is rounded to a millionth where rule.py rounds it.

local STANDING, SIGNALS, MOST, PROOF = 18, 11, 13, 10
local MEMORY, RATE_HALF, FLOW_HALF, GENERATION = 6 * 3600e6, 60e6, 120e6, 600e6
local LEARNING, RECENT, ALIKE_BITS, REGISTERS, RELAPSE = 0.02, 4, 6, 128, 3600e6
local BYTES, LATENESS = (STANDING + 12) * 8 + 8 + 16 * RECENT + 2 * REGISTERS, 1e5
local BRIEF_MS, NEXT_TO_NONE = 3600e3, 2
local INJECTION, HARM, SIMILARITY, DUPLICATE, RATE, COST, CROWD, SPREAD, SEQUENCE, UNKNOWN, PROBING =
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 -- places among the signals
local WEIGHT = { 0.95, 0.95, 0.5, 0.3, 0.3, 0.95, 0.2, 0.95, 0.95, 0.95, 0.95 }
local ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
local NUMBERS = '<' .. string.rep('d', STANDING + 12)
local NOTHING, EMPTY = string.rep('\0', 8), string.rep('\0', REGISTERS)
local LN2 = math.log(2)
local OF_A_KEY, OF_NEWCOMERS = 0, 1 -- levels, as store.pack_knobs numbers them

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local floor, ceiling, cut_by, cut_interval, cool_down, recovery, cut_at, release_at, per_minute, tokens_per_minute, largest, level =
    struct.unpack('<dddddddddddd', ARGV[1])

local function rounded(value) return math.floor(value * 1e6 + 0.5) / 1e6 end
local function clipped(value) return math.min(math.max(value, 0), 1) end
local function between(value, low, high) return clipped((value - low) / (high - low)) end
local function doublings(value, usual, most)
    if value <= usual then return 0 end
    return between(math.log(value / usual) / LN2, 0, most)
end

local function differing(one, other)
    local bits = 0
    for at = 1, 8 do
        local odd = bit.bxor(one:byte(at), other:byte(at))
        while odd > 0 do
            odd = bit.band(odd, odd - 1)
            bits = bits + 1
        end
    end
    return bits
end

-- HyperLogLog: see sketch.py
local function place(item)
    local rank = 33
    local rest = ((item:byte(2) * 256 + item:byte(3)) * 256 + item:byte(4)) * 256 + item:byte(5)
    while rest >= 1 do
        rest = math.floor(rest / 2)
        rank = rank - 1
    end
    return bit.band(item:byte(1), REGISTERS - 1) + 1, rank
end

local function count(one, other)
    local empty, sum = 0, 0
    for at = 1, REGISTERS do
        local rank = math.max(one:byte(at), other:byte(at))
        if rank == 0 then empty = empty + 1 end
        sum = sum + 2 ^ -rank
    end
    local estimate = ALPHA * REGISTERS * REGISTERS / sum
    if estimate <= 2.5 * REGISTERS and empty > 0 then return REGISTERS * math.log(REGISTERS / empty) end
    return estimate
end

local function fresh_state()
    local state = { factor = 1, bad = 0, since = now, good = 0, pin = -1, seen = now, trouble = 0, steps = {} }
    for at = 1, SIGNALS do state.steps[at] = 0 end
    state.cut, state.rate, state.rate_norm, state.flow, state.flow_norm, state.size_norm = 0, 0, 0, 0, 0, 0
    state.count, state.count_norm, state.turned, state.run, state.rotation, state.alike = 0, 0, now, 0, 0, 0
    state.last, state.newer, state.older, state.recent, state.tried = NOTHING, EMPTY, EMPTY, {}, {}
    for at = 1, RECENT do state.recent[at], state.tried[at] = NOTHING, NOTHING end
    return state
end

local function unpacked(packed)
    local n = { struct.unpack(NUMBERS, packed) }
    local rest = n[#n]
    local state = { factor = n[1], bad = n[2], since = n[3], good = n[4], pin = n[5], seen = n[6], trouble = n[7], steps = {} }
    for at = 1, SIGNALS do state.steps[at] = n[7 + at] end
    state.cut, state.rate, state.rate_norm, state.flow, state.flow_norm, state.size_norm = unpack(n, 19, 24)
    state.count, state.count_norm, state.turned, state.run, state.rotation, state.alike = unpack(n, 25, 30)
    state.last, state.recent, state.tried = packed:sub(rest, rest + 7), {}, {}
    for at = 1, RECENT do
        local tried_at = rest + 8 * RECENT
        state.recent[at] = packed:sub(rest + 8 * at, rest + 8 * at + 7)
        state.tried[at] = packed:sub(tried_at + 8 * at, tried_at + 8 * at + 7)
    end
    rest = rest + 8 + 16 * RECENT
    state.newer = packed:sub(rest, rest + REGISTERS - 1)
    state.older = packed:sub(rest + REGISTERS, rest + 2 * REGISTERS - 1)
    return state
end

local function standing(s)
    return struct.pack('<' .. string.rep('d', STANDING), s.factor, s.bad, s.since, s.good, s.pin, s.seen,
        s.trouble, unpack(s.steps))
end

local function packed(s)
    local numbers = struct.pack('<dddddddddddd', s.cut, s.rate, s.rate_norm, s.flow, s.flow_norm, s.size_norm,
        s.count, s.count_norm, s.turned, s.run, s.rotation, s.alike)
    return standing(s) .. numbers .. s.last .. table.concat(s.recent) .. table.concat(s.tried) .. s.newer .. s.older
end

local function unpinned_factor(s)
    local regained = math.max(now - s.bad - cool_down, 0) / recovery * (ceiling - floor)
    return math.min(math.max(s.factor, floor) + regained, ceiling)
end

local function decay(s)
    local waited = math.max(now - s.seen, 0)
    local fading = 2 ^ (-waited / MEMORY)
    for at = 1, SIGNALS do s.steps[at] = rounded(s.steps[at] * fading) end
    s.bad, s.since, s.cut = math.min(s.bad, now), math.min(s.since, now), math.min(s.cut, now)
    s.turned, s.trouble = math.min(s.turned, now), math.min(s.trouble, now)
    s.rate, s.flow, s.seen = rounded(s.rate * 2 ^ (-waited / RATE_HALF)), rounded(s.flow * 2 ^ (-waited / FLOW_HALF)), now
end

local function count_others(s, o)
    local turns = math.floor((now - s.turned) / GENERATION)
    if turns > 0 then
        s.count_norm = s.count_norm == 0 and s.count or rounded(s.count_norm + (s.count - s.count_norm) / 8)
        s.older, s.newer, s.turned = turns == 1 and s.newer or EMPTY, EMPTY, now
        s.count = rounded(count(EMPTY, s.older))
    end
    if o.other == NOTHING then return false end
    local register, rank = place(o.other)
    if s.newer:byte(register) >= rank then return false end
    local new = s.older:byte(register) < rank
    s.newer = s.newer:sub(1, register - 1) .. string.char(rank) .. s.newer:sub(register + 1)
    s.count = rounded(count(s.newer, s.older))
    return new
end

local function was_tried(s, credential)
    for at = 1, RECENT do
        if s.tried[at] == credential then return true end
    end
    return false
end

local function follow(s, o, new_key)
    if o.unknown then
        if not was_tried(s, o.other) then
            table.insert(s.tried, 1, o.other)
            s.tried[RECENT + 1] = nil
        end
        return false
    end
    if o.other == s.last then
        s.run = s.run + 1
    elseif o.other ~= NOTHING then
        local turned = new_key and s.run > 0 and 1 - 1 / s.run or 0
        local held = unpinned_factor(s) < ceiling
        if not held then s.rotation = rounded(s.rotation + 0.4 * (turned - s.rotation)) end
        if s.run == 0 then s.rotation = 0 end
        s.run, s.last = 1, o.other
    end
    if o.pattern == NOTHING then return false end
    local known = 0
    for at = 1, RECENT do
        if s.recent[at] ~= NOTHING and differing(s.recent[at], o.pattern) <= ALIKE_BITS then known = 1 end
    end
    if known == 0 then
        table.insert(s.recent, 1, o.pattern)
        s.recent[RECENT + 1] = nil
    end
    s.alike = rounded(s.alike + 0.2 * (known - s.alike))
    return known == 1
end

local function rate_step(s, o)
    if o.tokens == 0 then return 0 end
    return 2 * doublings((s.rate + 1) * LN2, math.max(s.rate_norm, 0.2 * per_minute), 2) - 1
end

local function cost_step(s, o)
    if o.tokens == 0 then return 0 end
    local flood = doublings((s.flow + o.tokens) * LN2 / 2, math.max(s.flow_norm, 0.1 * tokens_per_minute), 3)
    local large = between(math.log(o.tokens) - math.max(s.size_norm, math.log(largest / 16)), math.log(2), math.log(8))
    return 2.2 * large * math.max(flood, math.min(s.steps[COST] / PROOF, 1)) - 1
end

local function steps_of(s, o, another, alike, newcomer)
    local steps = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    if o.unknown then
        steps[UNKNOWN] = another and 1.5 or 0
        return steps
    end
    local crowd = -1 -- until something is known of what is usual
    if s.count_norm ~= 0 then crowd = 2 * doublings(s.count, 4 * math.max(s.count_norm, 1), 3) - 1 end
    steps[RATE], steps[COST] = rate_step(s, o), cost_step(s, o)
    steps[level == OF_A_KEY and SPREAD or CROWD] = crowd
    if not o.own then return steps end
    steps[INJECTION], steps[HARM], steps[SIMILARITY] = 2.3 * o.injection - 1.2, 1.8 * o.harm - 0.8, 2 * o.similarity - 1
    steps[DUPLICATE] = newcomer and 7 * o.hot - 1 or -1
    steps[SEQUENCE] = alike and 3 * between(s.rotation * s.alike, 0.35, 0.75) - 1 or -1
    steps[UNKNOWN], steps[PROBING] = -1, o.near and 0.8 or -0.4
    return steps
end

local function learn(s, o, calm)
    if o.tokens == 0 or o.unknown then return end
    s.rate, s.flow = rounded(s.rate + 1), rounded(s.flow + o.tokens)
    if not calm then return end
    s.rate_norm = rounded(s.rate_norm + LEARNING * (s.rate * LN2 - s.rate_norm))
    s.flow_norm = rounded(s.flow_norm + LEARNING * (s.flow * LN2 / 2 - s.flow_norm))
    s.size_norm = rounded(s.size_norm + LEARNING * (math.log(o.tokens) - s.size_norm))
end

local function score_of(s)
    local innocent = 1
    for at = 1, SIGNALS do innocent = innocent * (1 - WEIGHT[at] * math.min(s.steps[at] / PROOF, 1)) end
    return 1 - innocent
end

local function relapses(s) return s.cut ~= 0 and now - s.cut < RELAPSE end

local function judge(s, o, rose, fresh)
    local score, factor, cut = score_of(s), unpinned_factor(s), 0
    if rose and score >= cut_at and now - s.cut >= cut_interval then
        local deeper = 1 + 3 * (score - cut_at) / (1 - cut_at)
        factor = math.max(floor, rounded(factor * cut_by ^ deeper))
        if not relapses(s) then s.trouble = now end
        s.cut, cut = now, 1
    end
    if rose and score >= release_at then s.factor, s.bad = factor, now end
    if cut == 1 then
        s.good = 0
    elseif o.own and not o.unknown then
        if o.ordinary then
            s.good = math.min(s.good + 1, 1000000)
        elseif fresh then
            s.good = math.floor(s.good / 2)
        end
    end
    learn(s, o, score < release_at)
    return cut
end

local function is_fresh(s) return s.good < 5 or now - s.since < 600e6 end

local function observe(s, o)
    local fresh = is_fresh(s)
    decay(s)
    local new_other = count_others(s, o)
    local another = new_other and not was_tried(s, o.other)
    local alike = level ~= OF_A_KEY and follow(s, o, new_other)
    local rose, relapse = false, relapses(s)
    for at, step in ipairs(steps_of(s, o, another, alike, fresh or level == OF_NEWCOMERS)) do
        if relapse and step < 0 and at > HARM then step = step / 2 end -- see rule._relapsing
        s.steps[at] = rounded(math.min(math.max(s.steps[at] + step, 0), MOST))
        if step > 0 and at ~= RATE and at ~= CROWD and at ~= DUPLICATE then rose = true end
    end
    return judge(s, o, rose, fresh)
end

-- The rule of standing.counting: a memory counts if it knows of an offence later than all that was seen here.
local function recall(s, was_known)
    local n = { struct.unpack('<' .. string.rep('d', STANDING), ARGV[3]) }
    if was_known and now + n[2] <= s.seen + LATENESS then return end
    s.factor, s.bad, s.since, s.good = n[1], now + n[2], now + n[3], n[4]
    s.seen, s.trouble = now + n[6], now + n[7]
    for at = 1, SIGNALS do s.steps[at] = n[7 + at] end
end

local packed_state = redis.call('GET', KEYS[1])
local known = packed_state and #packed_state == BYTES -- one of another version's shape is as good as lost
local state = known and unpacked(packed_state) or fresh_state()
if ARGV[3] ~= '' then recall(state, known) end
local newcomer = is_fresh(state) and unpinned_factor(state) >= ceiling
local cuts, heard, suspected = 0, 0, not newcomer
for at = 4, #ARGV do
    suspected = suspected or score_of(state) >= release_at or unpinned_factor(state) < ceiling
    if not suspected then heard = heard + 1 end
    local n = { struct.unpack('<ddddddddd', ARGV[at]) }
    cuts = cuts + observe(state, {
        injection = n[1], harm = n[2], similarity = n[3], near = n[4] == 1, tokens = n[5], hot = n[6],
        unknown = n[7] == 1, ordinary = n[8] == 1, own = n[9] == 1, other = ARGV[at]:sub(73, 80), pattern = ARGV[at]:sub(81, 88),
    })
end
local lifetime_ms = ARGV[2]
if state.good < 5 and math.max(unpack(state.steps)) < NEXT_TO_NONE and unpinned_factor(state) >= ceiling then
    lifetime_ms = BRIEF_MS -- strangers are many, and little is known of each
end
if state.pin < 0 then
    redis.call('SET', KEYS[1], packed(state), 'PX', string.format('%.0f', lifetime_ms))
else -- an operator's word stays until the operator takes it back
    redis.call('SET', KEYS[1], packed(state))
end
return { standing(state), now, cuts, newcomer and 1 or 0, heard }
