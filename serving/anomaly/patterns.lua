-- Counts one attack-like text among those alike: the rule of patterns.py, on the server's clock.
--
-- KEYS[1]   the table: for each pattern 8 bytes of fingerprint, 8 of who began it, four doubles, two
--           sets of 16 bytes; the last seen first
-- ARGV[1]   fingerprint and sender, 8 bytes each
-- ARGV[2]   lifetime of the table in milliseconds
-- returns   heat, as text

local ROW, MOST_PATTERNS, SENDER_BITS, ALIKE_BITS, GENERATION = 80, 64, 128, 6, 600e6
local MOST_OF_ONE, YOUNG_PATTERNS, JOINED = 3, 16, 2.5
local NOBODY = string.rep('\0', 16)

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local wanted, founder, sender = ARGV[1]:sub(1, 8), ARGV[1]:sub(9, 16), ARGV[1]:byte(16) % SENDER_BITS

local function rounded(value) return math.floor(value * 1e6 + 0.5) / 1e6 end

local ONES = { [0] = 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4 } -- bits that are set in four
local function ones(byte) return ONES[byte % 16] + ONES[(byte - byte % 16) / 16] end

local function numbers_of(row) return struct.unpack('<dddd', row:sub(17, 48)) end

-- A place for a pattern that the sender begins: the rule of patterns._with_room.
local function make_room(rows)
    local young, own, last_young, last_own, last_joined = 0, 0, nil, nil, nil
    for at, row in ipairs(rows) do
        local _, row_turned, current = numbers_of(row)
        if now - row_turned >= 2 * GENERATION then current = 0 end
        if current >= JOINED then
            last_joined = at
        else
            young, last_young = young + 1, at
            if row:sub(9, 16) == founder then own, last_own = own + 1, at end
        end
    end
    if own >= MOST_OF_ONE then
        table.remove(rows, last_own)
    elseif #rows >= MOST_PATTERNS then
        table.remove(rows, young > YOUNG_PATTERNS and last_young or last_joined)
    end
end

-- The nearest pattern within ALIKE_BITS; rows stay packed, as all but one are only moved.
local a, b, c, d, e, f, g, h = wanted:byte(1, 8)
local xor, rows, nearest, nearest_bits = bit.bxor, {}, nil, ALIKE_BITS + 1
local packed = redis.call('GET', KEYS[1]) or ''
for from = 1, #packed, ROW do
    local s, t, u, v, w, x, y, z = packed:byte(from, from + 7)
    local bits = ones(xor(a, s)) + ones(xor(b, t)) + ones(xor(c, u)) + ones(xor(d, v))
        + ones(xor(e, w)) + ones(xor(f, x)) + ones(xor(g, y)) + ones(xor(h, z))
    rows[#rows + 1] = packed:sub(from, from + ROW - 1)
    if bits < nearest_bits then nearest, nearest_bits = #rows, bits end
end

local print_, turned, norm, count, newer, older = wanted, now, 0, 0, NOBODY, NOBODY
if nearest then
    local row = table.remove(rows, nearest)
    local _
    print_, founder, newer, older = row:sub(1, 8), row:sub(9, 16), row:sub(49, 64), row:sub(65, 80)
    _, turned, count, norm = numbers_of(row)
else
    make_room(rows)
end

turned = math.min(turned, now)
local turns = math.floor((now - turned) / GENERATION)
if turns > 0 then
    norm = rounded(norm + (count - norm) / 32)
    older, newer, turned = turns == 1 and newer or NOBODY, NOBODY, now
end
local at = math.floor(sender / 8) + 1
newer = newer:sub(1, at - 1) .. string.char(bit.bor(newer:byte(at), bit.lshift(1, sender % 8))) .. newer:sub(at + 1)
local empty = SENDER_BITS
for each = 1, 16 do empty = empty - ones(bit.bor(newer:byte(each), older:byte(each))) end
count = rounded(SENDER_BITS * math.log(SENDER_BITS / math.max(empty, 1)))

table.insert(rows, 1, print_ .. founder .. struct.pack('<dddd', now, turned, count, norm) .. newer .. older)
redis.call('SET', KEYS[1], table.concat(rows), 'PX', ARGV[2])

local heat = math.log(count / (2 * math.max(norm, 1))) / math.log(2) / 3
return string.format('%.6f', rounded(math.min(math.max(heat, 0), 1)))
