-- Units: goods in units, instants in ms since the epoch. The units of soft holds by deadline. A field is 's' and a SKU, or
-- 'd' and a day; its places are slots or nodes. A member of a field is what lapses at one deadline in one chunk of places,
-- however many orders it stands for: 'c', the chunk, msgpack {deadline, place, units, parcels, ...}. So whoever changes a
-- few places of many reads and writes few. An earlier version kept all places of a deadline as one member, just the
-- msgpack: it is read as it is, and divided by whoever changes anything of its deadline.
local DUE = P .. 'due' -- fields by their first deadline
local CHUNK = 32 -- places of a chunk

local function soft_key(field) return P .. 'soft:' .. field end

local function chunk_of(place) return math.floor(place / CHUNK) end

-- A member's chunk, nil if it is of an earlier version.
local function chunk_in(packed)
  if string.byte(packed) == 99 then return string.byte(packed, 2) + 256 * string.byte(packed, 3) end
end

-- Members of a field between two deadlines, at most `most`, each {deadline, place, units, parcels, ..., chunk =}: those of
-- the chunks `wanted`, all without it. One of an earlier version comes divided, whatever is wanted; the deadlines of such
-- are returned, too.
local function members(field, first, last, most, wanted)
  local found, divided = {}, {}
  for _, packed in ipairs(call('ZRANGEBYSCORE', soft_key(field), first, last, 'LIMIT', 0, most)) do
    local chunk = chunk_in(packed)
    if not chunk then
      local whole, parts = cmsgpack.unpack(packed), {}
      divided[whole[1]] = true
      for at = 2, #whole, 3 do
        local of = chunk_of(whole[at])
        if not parts[of] then
          parts[of] = { whole[1], chunk = of }
          found[#found + 1] = parts[of]
        end
        for n = at, at + 2 do table.insert(parts[of], whole[n]) end
      end
    elseif not wanted or wanted[chunk] then
      local member = cmsgpack.unpack(string.sub(packed, 4))
      member.chunk = chunk
      found[#found + 1] = member
    end
  end
  return found, divided
end

local function put_due(field)
  local first = call('ZRANGE', soft_key(field), 0, 0, 'WITHSCORES')
  if first[2] then call('ZADD', DUE, first[2], field) else call('ZREM', DUE, field) end
end

-- Members as an entry has them: field, deadline, chunk, flat (place, units, parcels); empty means that it is gone. Where
-- one of an earlier version was, the entry has all that it is divided into.
local function apply_soft(soft)
  local key, there
  for at = 1, #soft, 4 do
    local field, deadline, chunk, places = soft[at], soft[at + 1], soft[at + 2], soft[at + 3]
    if field ~= soft[at - 4] or deadline ~= soft[at - 3] then -- what is there, by chunk
      key, there = soft_key(field), {}
      for _, packed in ipairs(call('ZRANGEBYSCORE', key, deadline, deadline)) do
        local of = chunk_in(packed)
        if of then there[of] = packed else call('ZREM', key, packed) end
      end
    end
    if there[chunk] then call('ZREM', key, there[chunk]) end
    if #places > 0 then
      there[chunk] = 'c' .. struct.pack('<I2', chunk) .. cmsgpack.pack({ deadline, unpack(places) })
      call('ZADD', key, deadline, there[chunk])
    end
    if soft[at + 4] ~= field then put_due(field) end
  end
end

-- The same as an entry of an earlier version has it, should that be half-made: field, deadline, all its places.
local function apply_whole(soft)
  for at = 1, #soft, 3 do
    local field, deadline, places = soft[at], soft[at + 1], soft[at + 2]
    call('ZREMRANGEBYSCORE', soft_key(field), deadline, deadline)
    if #places > 0 then call('ZADD', soft_key(field), deadline, cmsgpack.pack({ deadline, unpack(places) })) end
    put_due(field)
  end
end
