-- Units: instants in ms since the epoch. ARGV: order id. Returns {content, order, decision, kept, current decision,
-- entry of the record, ms}; of a hold that lapsed only what still counts as held.
local found, now = call('HMGET', order_key(ARGV[1]), 'c', 'o', 'd', 'm', 'n', 'r', 'l'), now_ms()
local k = found[4] and kept_of(found[4], found[7])
found[7] = now
if not k or (k.lapsed == '' and judged(k, now) == k.state) then return found end
local takes, loads = {}, {}
local function held(field, place)
  local packed = call('ZRANGEBYSCORE', soft_key(field), k.deadline, k.deadline)[1]
  local member = packed and cmsgpack.unpack(packed) or NONE
  for at = 2, #member, 3 do
    if member[at] == place then return true end
  end
end
for at = 1, #k.takes, 4 do
  if held('s' .. k.takes[at], k.takes[at + 1]) then for n = at, at + 3 do takes[#takes + 1] = k.takes[n] end end
end
for at = 1, #k.loads, 4 do
  if held('d' .. k.loads[at], k.loads[at + 1]) then for n = at, at + 3 do loads[#loads + 1] = k.loads[n] end end
end
k.takes, k.loads = takes, loads
found[4] = packed_order(k)
return found
