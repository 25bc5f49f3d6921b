-- Units: instants in ms since the epoch. ARGV: order id. Returns {content, order, decision, kept, current decision,
-- entry of the record, ms}; of a hold that lapsed only what still counts as held.
local found, now = call('HMGET', order_key(ARGV[1]), 'c', 'o', 'd', 'm', 'n', 'r', 'l'), now_ms()
local k = found[4] and kept_of(found[4], found[7])
found[7] = now
if not k or (k.lapsed == '' and judged(k, now) == k.state) then return found end
local takes, loads = {}, {}
local function held(field)
  return call('ZCOUNT', soft_key(field), k.deadline, k.deadline) > 0
end
for at = 1, #k.takes, 4 do
  if held('s' .. k.takes[at]) then for n = at, at + 3 do takes[#takes + 1] = k.takes[n] end end
end
for at = 1, #k.loads, 4 do
  if held('d' .. k.loads[at]) then for n = at, at + 3 do loads[#loads + 1] = k.loads[n] end end
end
k.takes, k.loads = takes, loads
found[4] = packed_order(k)
return found
