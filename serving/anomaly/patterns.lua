-- Counts one attack-like text among those alike: the rule of patterns.py, on the server's clock.
--
-- KEYS[1]   the table: for each pattern 8 bytes of fingerprint, four doubles, two sets of 16 bytes
-- ARGV[1]   fingerprint and sender, 8 bytes each
-- ARGV[2]   lifetime of the table in milliseconds
-- returns   heat and senders, as text

local ROW, MOST_PATTERNS, SENDER_BITS, ALIKE_BITS, GENERATION = 72, 64, 128, 6, 600e6
local NOBODY = string.rep('\0', 16)

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local wanted, sender = ARGV[1]:sub(1, 8), ARGV[1]:byte(16) % SENDER_BITS

local function rounded(value) return math.floor(value * 1e6 + 0.5) / 1e6 end

local function ones(byte)
    local bits = 0
    while byte > 0 do
        byte = bit.band(byte, byte - 1)
        bits = bits + 1
    end
    return bits
end

local function differing(one, other)
    local bits = 0
    for at = 1, 8 do bits = bits + ones(bit.bxor(one:byte(at), other:byte(at))) end
    return bits
end

local table_ = redis.call('GET', KEYS[1]) or ''
local rows, nearest, nearest_bits = {}, nil, ALIKE_BITS + 1
for from = 1, #table_, ROW do
    local row = { print = table_:sub(from, from + 7) }
    row.seen, row.turned, row.count, row.norm = struct.unpack('<dddd', table_:sub(from + 8, from + 39))
    row.newer, row.older = table_:sub(from + 40, from + 55), table_:sub(from + 56, from + 71)
    local bits = differing(row.print, wanted)
    if bits < nearest_bits then nearest, nearest_bits = row, bits end
    rows[#rows + 1] = row
end
local found = nearest or { print = wanted, seen = now, turned = now, count = 0, norm = 0, newer = NOBODY, older = NOBODY }

found.turned = math.min(found.turned, now)
local turns = math.floor((now - found.turned) / GENERATION)
if turns > 0 then
    found.norm = rounded(found.norm + (found.count - found.norm) / 32)
    found.older, found.newer, found.turned = turns == 1 and found.newer or NOBODY, NOBODY, now
end
local at = math.floor(sender / 8) + 1
local byte = bit.bor(found.newer:byte(at), bit.lshift(1, sender % 8))
found.newer = found.newer:sub(1, at - 1) .. string.char(byte) .. found.newer:sub(at + 1)
local empty = SENDER_BITS
for each = 1, 16 do empty = empty - ones(bit.bor(found.newer:byte(each), found.older:byte(each))) end
found.count, found.seen = rounded(SENDER_BITS * math.log(SENDER_BITS / math.max(empty, 1))), now

local others, least, least_count = {}, nil, nil
for _, row in ipairs(rows) do
    if row ~= found then
        others[#others + 1] = row
        local current = now - row.turned < 2 * GENERATION and row.count or 0
        if not least or current < least_count or (current == least_count and row.seen < others[least].seen) then
            least, least_count = #others, current
        end
    end
end
if #others >= MOST_PATTERNS then table.remove(others, least) end
table.insert(others, 1, found)
local parts = {}
for _, row in ipairs(others) do
    parts[#parts + 1] = row.print .. struct.pack('<dddd', row.seen, row.turned, row.count, row.norm) .. row.newer .. row.older
end
redis.call('SET', KEYS[1], table.concat(parts), 'PX', ARGV[2])

local heat = math.log(found.count / (2 * math.max(found.norm, 1))) / math.log(2) / 3
return { string.format('%.6f', rounded(math.min(math.max(heat, 0), 1))), string.format('%.6f', found.count) }
