-- Units: instants in ms since the epoch. ARGV: order ids (msgpack). Returns ms, and of each {content, order, decision,
-- kept, current decision, entry of the record}; of a hold that lapsed only what still counts as held.
local now = now_ms()

local function held(field, place, deadline)
  for _, member in ipairs(members(field, deadline, deadline, -1, { [chunk_of(place)] = true })) do
    for at = 2, #member, 3 do
      if member[at] == place then return true end
    end
  end
end

-- Flat values by fours, without those of which nothing is held any more; a field's name is `kind` and the first of four.
local function still_held(kind, flat, deadline)
  local left = {}
  for at = 1, #flat, 4 do
    if held(kind .. flat[at], flat[at + 1], deadline) then
      for n = at, at + 3 do left[#left + 1] = flat[n] end
    end
  end
  return left
end

local orders = {}
for n, id in ipairs(cmsgpack.unpack(ARGV[1])) do
  local found = call('HMGET', order_key(id), 'c', 'o', 'd', 'm', 'n', 'r', 'l')
  local k = found[4] and kept_of(found[4], found[7])
  if k and judged(k, now) ~= k.state then
    k.takes, k.loads = still_held('s', k.takes, k.deadline), still_held('d', k.loads, k.deadline)
    found[4] = packed_order(k)
  elseif k and k.lapsed ~= '' then
    found[4] = packed_order(k)
  end
  found[7] = nil
  orders[n] = found
end
return { now, orders }
